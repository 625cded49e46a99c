/** What the demo's director has to know. */
export interface DemoSetup {
  readonly baseDir: string;
  readonly backendHosts: readonly string[];
  readonly imapPort: number;
  readonly pop3Port: number;
}

/** The demo's configuration file; listeners take any free port. */
export function demoYaml(setup: DemoSetup): string {
  return [
    `base_dir: ${JSON.stringify(setup.baseDir)}`,
    'workers: 2',
    'services:',
    '  - { protocol: imap, listen: "127.0.0.1:0" }',
    '  - { protocol: pop3, listen: "127.0.0.1:0" }',
    'disable_plaintext_auth: false',
    'director:',
    '  mail_servers:',
    ...setup.backendHosts.map((host) => `    - ${host}`),
    'backends:',
    `  imap: { port: ${setup.imapPort}, trusted: true }`,
    `  pop3: { port: ${setup.pop3Port}, trusted: true }`,
    '',
  ].join('\n');
}
