/** A request to POST /doveadm/v1. */
export interface DoveadmRequest {
  /** Sent as it is. */
  readonly body: string;
  /** Where we differ on purpose: our HTTP status and answer, and why. */
  readonly ours?: { readonly status: number; readonly body: string; readonly why: string };
}

const DIES = "Dovecot's process dies, and there is no answer";

function usage(body: string): DoveadmRequest {
  const answer = '[["error",{"type":"exitCode", "exitCode":64},"t"]]';
  return { body, ours: { status: 200, body: answer, why: DIES } };
}

function other(body: string, answer: string, why: string, status = 200): DoveadmRequest {
  return { body, ours: { status, body: answer, why } };
}

function cutOff(body: string): DoveadmRequest {
  const answer = "JSON parse error: Missing '}'\r\n";
  return other(body, answer, 'Dovecot answers what it has, which may be half a list', 400);
}

const INVALID = '[["error",{"type":"invalidRequest", "exitCode":0},"t"]]';
const EMPTY = '[["doveadmResponse",[],"t"]]';
const NOT_FOUND = '[["error",{"type":"exitCode", "exitCode":68},"t"]]';
const TEMPFAIL = '[["error",{"type":"exitCode", "exitCode":75},"t"]]';

/**
 * The examples of https://doc.dovecot.org/2.3/admin_manual/doveadm_http_api/, as they stand there, in an
 * order in which they follow from each other. The director knows 10.0.0.1, 10.0.0.2 and 10.0.0.3@far.
 */
export const documentedRequests: readonly DoveadmRequest[] = [
  { body: '[["directorStatus",{},"tag1"]] ' },
  { body: '[["directorDump",{},"tag1"]] ' },
  { body: '[["directorAdd",{"host":"10.0.234"},"tag1"]] ' },
  { body: '[["directorMove",{"user":"samik","host":"10.0.234"},"tag1"]] ' },
  { body: '[["directorMap",{},"tag1"]] ' },
  { body: '[["directorKick",{"user":"samik"},"tag1"]] ' },
  { body: '[["directorFlush",{"host":"10.0.0.234"},"tag1"]] ' },
  { body: '[["directorRemove",{"host":"10.0.0.234"},"tag1"]] ' },
  { body: '[["directorRingAdd",{"ip":"10.0.0.233"},"tag1"]] ' },
  { body: '[["directorRingStatus",{},"tag1"]] ' },
  { body: '[["directorRingRemove",{"ip":"10.0.0.233"},"tag1"]] ' },
  { body: '[["directorRingStatus",{},"tag1"]] ' },
];

/** Every command, with the parameters it has and some it should not have. */
export const commandRequests: readonly DoveadmRequest[] = [
  ...[
    '[["directorStatus",{"user":"alice"},"t"]]',
    '[["directorStatus",{"user":"alice","tag":"far"},"t"]]',
    '[["directorStatus",{"user":"alice","tag":"nope"},"t"]]',
    '[["directorStatus",{"user":""},"t"]]',
    '[["directorStatus",{"user":5},"t"]]',
    '[["directorStatus",{"user":-5.5e3},"t"]]',
    '[["directorStatus",{"user":true},"t"]]',
    '[["directorStatus",{"user":null},"t"]]',
    '[["director-status",{"user":"bob"},"t"]]',
    '[["director status",{"user":"bob"},"t"]]',
    '[["DirectorStatus",{},"t"]]',
    '[["directorstatus",{},"t"]]',
    '[["directorRing-status",{},"t"]]',
    '[["directorAdd",{"host":"10.0.0.235","vhostCount":"50","tag":"x"},"t"]]',
    '[["directorAdd",{"host":"10.0.0.236@y","vhostCount":60},"t"]]',
    '[["directorAdd",{"host":"10.0.0.236@z"},"t"]]',
    '[["directorAdd",{"host":"10.0.0.236","tag":"z"},"t"]]',
    '[["directorAdd",{"host":"10.0.0.236","vhost-count":"61"},"t"]]',
    '[["directorAdd",{"host":"10.0.0.237","vhostCount":"1001"},"t"]]',
    '[["directorAdd",{"host":"no.such.host.invalid"},"t"]]',
    '[["directorUpdate",{"host":"10.0.0.235","vhostCount":"70"},"t"]]',
    '[["directorUpdate",{"host":"10.0.0.99","vhostCount":"70"},"t"]]',
    '[["directorDown",{"host":"10.0.0.235"},"t"]]',
    '[["directorDown",{"host":"10.0.0.235"},"t"]]',
    '[["directorDown",{"host":"10.0.0.99"},"t"]]',
    '[["directorStatus",{},"t"]]',
    '[["directorUp",{"host":"10.0.0.235"},"t"]]',
    '[["directorUp",{"host":"10.0.0.99"},"t"]]',
    '[["directorMove",{"user":"user1","host":"10.0.0.1"},"t"]]',
    '[["directorMove",{"user":"user2","host":"10.0.0.2"},"t"]]',
    '[["directorMove",{"user":"12345","host":"10.0.0.2"},"t"]]',
    '[["directorMove",{"user":"user3","host":"10.0.0.77"},"t"]]',
    '[["directorMap",{"host":"10.0.0.1"},"t"]]',
    '[["directorMap",{"host":"10.0.0.77"},"t"]]',
    '[["directorMap",{"host":"no.such.host.invalid"},"t"]]',
    '[["directorMap",{"userMap":true,"host":"alice"},"t"]]',
    '[["directorMap",{"user-map":"true","host":"alice"},"t"]]',
    '[["directorMap",{"userMap":"yes","host":"10.0.0.77"},"t"]]',
    '[["directorMap",{"userMap":1,"host":"10.0.0.77"},"t"]]',
    '[["directorMap",{"userMap":true,"host":""},"t"]]',
    '[["directorMap",{"hashMap":true,"userMap":true,"host":"bob"},"t"]]',
    '[["directorMap",{"userMap":true,"host":"gr\u00fcn \\u20ac \\ud83d\\ude00"},"t\\u2028\\ud83d\\ude00"]]',
    '[["directorMap",{"hashMap":true,"host":"7"},"t"]]',
    '[["directorMap",{"maxParallel":1},"t"]]',
    '[["directorKick",{"user":"alice","passdbField":"x"},"t"]]',
    '[["directorKick",{"user":""},""]]',
    '[["directorFlush",{"host":"10.0.0.235","forceFlush":true,"maxParallel":5},"t"]]',
    '[["directorFlush",{"host":"10.0.0.235","maxParallel":"5"},"t"]]',
    '[["directorFlush",{"host":"10.0.0.235","maxParallel":-1},"t"]]',
    '[["directorFlush",{"host":"10.0.0.235","maxParallel":"5x"},"t"]]',
    '[["directorFlush",{"host":"10.0.0.99"},"t"]]',
    '[["directorFlush",{"host":"10.0.0.99","forceFlush":true},"t"]]',
    '[["directorRemove",{"host":"10.0.0.3"},"t"]]',
    '[["directorRemove",{"host":"10.0.0.3"},"t"]]',
    '[["directorDump",{},"t"]]',
    '[["directorRingRemove",{"ip":"10.0.0.232"},"t"]]',
    '[["directorRingRemove",{"ip":"10.0.0.232","port":"9"},"t"]]',
    '[["directorStatus",{},"t"],["directorDump",{},"u"],["directorRemove",{"host":"10.0.0.99"},"v"]]',
  ].map((body) => ({ body })),
  ...[
    ...['directorAdd', 'directorUpdate', 'directorUp', 'directorDown', 'directorRemove'],
    ...['directorMove', 'directorKick', 'directorFlush', 'directorRingAdd', 'directorRingRemove'],
  ].map((name) => usage(`[["${name}",{},"t"]]`)),
  usage('[["directorAdd",{"host":"10.0.0.9","vhostCount":"x"},"t"]]'),
  usage('[["directorAdd",{"host":"7"},"t"]]'),
  usage('[["directorUpdate",{"host":"10.0.0.1"},"t"]]'),
  usage('[["directorMove",{"user":"alice"},"t"]]'),
  usage('[["directorMap",{"userMap":true},"t"]]'),
  usage('[["directorMap",{"hashMap":true},"t"]]'),
  usage('[["directorRingAdd",{"ip":"name"},"t"]]'),
  usage('[["directorRingAdd",{"ip":"10.0.0.232","port":"65536"},"t"]]'),
  other('[["directorMap",{"hashMap":true,"host":"abc"},"t"]]', TEMPFAIL, DIES),
  other('[["directorStatus",{"socketPath":"/nowhere/at/all"},"t"]]', TEMPFAIL, DIES),
  other(
    '[["directorMap",{"usersFile":"user1\\nbob\\n","host":"10.0.0.1"},"t"]]',
    '[["doveadmResponse",[{"user":"user1","hash":"617210206","mail server ip":"10.0.0.1",' +
      '"expire time":"TIME"}],"t"]]',
    'Dovecot reads the names to their end before it looks for them, and finds none',
  ),
];

/** What is no list of commands, and what is wrong with one. */
export const badRequests: readonly DoveadmRequest[] = [
  ...[
    ...['', ' ', 'x', '{}', '"x"', '[]', '[ ]', '[1]', '[{}]', '[[]]', '[[', '[', ']'],
    ...['[["directorStatus"', '[["directorStatus",', '[["directorStatus",{'],
    '[[1,{},"t"]]',
    '[["directorStatus"]]',
    '[["directorStatus",[],"t"]]',
    '[["directorStatus",null,"t"]]',
    '[["directorStatus",{}]]',
    '[["directorStatus",{},1]]',
    '[["directorStatus",{},null]]',
    '[["directorStatus",{},{}]]',
    '[["directorStatus",{},"t",1]]',
    '[["directorStatus",{},"t"]',
    '[["directorStatus",{},"t"',
    '[["directorStatus",{},"t"]] x',
    '[["directorStatus",{},"t"]][]',
    '[["directorStatus",{},"t"],]',
    '[["directorStatus",{},"t"],null]',
    '[["directorStatus",{},"t"] "x"]',
    '[["directorStatus" {}]]',
    '["directorStatus",{},"t"]',
    '[["directorStatus",{"user":"a","user":"b"},"t"]]',
    '[["directorStatus",{"user":"a","user":null},"t"]]',
    '[["directorMap",{"user-map":true,"userMap":true},"t"]]',
    '[["directorStatus",{"bogus":"a"},"t"]]',
    '[["directorStatus",{"bogus":{"a":[1,2,"]"]},"user":"a"},"t"]]',
    '[["directorStatus",{"bogus":"a","user":"b","user":"c"},"t"]]',
    '[["bogus",{},"t"]]',
    '[["bogus",{"a":[1,{}]},"t\\u00e9\\"x"]]',
    '[["bogus",5,"t"]]',
    '[["bogus","5","t"]]',
    '[["bogus",[],"t"]]',
    '[["directorStatus",{"user":"\\u0000"},"t"]]',
    '[["directorStatus",{"user":"\\ud800"},"t"]]',
    '[["directorStatus",{"user":"\\ud800\\u0041"},"t"]]',
    '[["directorStatus",{"user":"\\ud800abcdefgh"},"t"]]',
    '[["directorStatus",{"user":"\\udc00"},"t"]]',
    '[["directorStatus",{"user":"\\x"},"t"]]',
    '[["directorStatus",{"user":"\\u00zz"},"t"]]',
    '[["directorStatus",{"user":tru},"t"]]',
    '[["directorStatus",{"user":+1},"t"]]',
    '[["directorStatus",{"user":01},"t"]]',
    '[["directorStatus",{user:"x"},"t"]]',
    '[["directorStatus",{"user" "x"},"t"]]',
    '[["directorStatus",{"user":"x" "y"},"t"]]',
    '[["directorStatus",{"user":"x",},"t"]]',
  ].map((body) => ({ body })),
  ...['nul', '[["directorSta', '[["directorStatus",{"us', '[["directorStatus",{"user":tr'].map(
    cutOff,
  ),
  cutOff('[["directorStatus",{"user":"\\u12'),
  other('[["directorStatus",{"user":["a"]},"t"]]', INVALID, DIES),
  other('[["directorStatus",{"user":[]},"t"]]', INVALID, DIES),
  other('[["directorMap",{"userMap":null,"host":"10.0.0.77"},"t"]]', EMPTY, DIES),
  other('[["directorFlush",{"maxParallel":null,"host":"10.0.0.99"},"t"]]', NOT_FOUND, DIES),
  other(
    '[["directorStatus",{"user":{"a":"b"}},"t"]]',
    INVALID,
    "Dovecot takes the inner object's end for that of the parameters",
  ),
  other('[["directorMap",{"usersFile":5},"t"]]', INVALID, 'Dovecot answers an empty list'),
  other(
    '[["bogus",{},"t"],["directorMap",{"userMap":true,"host":"alice"},"u"]]',
    '[["error",{"type":"unknownMethod", "exitCode":0},"t"],["doveadmResponse",[{"hash":"1669653170"}],"u"]]',
    "Dovecot's answer lacks a comma",
  ),
  other(
    '[["directorRemove",{"host":"10.0.0.99"},"u"],["directorStatus",{"x":1},"t"]]',
    '[["error",{"type":"exitCode", "exitCode":68},"u"],["error",{"type":"invalidRequest", "exitCode":0},"t"]]',
    "Dovecot's answer lacks a comma, and its exit code is that of the command before",
  ),
];

export const allRequests: readonly DoveadmRequest[] = [
  ...[...documentedRequests, ...commandRequests, ...badRequests],
];

/** Without what is another one each time, or in each place. */
export function maskAnswer(text: string, socketPath: string, directorIp: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'TIME')
    .replaceAll(socketPath, 'SOCKET')
    .replaceAll(directorIp, 'DIRECTOR');
}
