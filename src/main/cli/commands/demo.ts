/** `demo`: a director with backends and users of its own. Gives the exit code. */
export async function demo(once: boolean): Promise<number> {
  const { runDemo } = await import('../../../demo/demo.ts');
  return await runDemo({ once });
}
