/** What an AUTHENTICATE PLAIN response says; null when it is no valid base64 or not PLAIN. */
export function decodeSaslPlain(
  response: string,
): { authzid: string; user: string; password: string } | null {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(response))
    return null;
  const fields = Buffer.from(response, 'base64').toString('latin1').split('\0');
  const [authzid, user, password] = fields;
  if (fields.length !== 3 || authzid === undefined || !user || password === undefined) return null;
  return { authzid, user, password };
}
