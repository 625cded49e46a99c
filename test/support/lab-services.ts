import type { DovecotOptions } from './dovecot.ts';
import { RELAY_PORT, relayAddress } from './relay-target.ts';
import { requireFile } from './require-program.ts';

/** What a lab's backends speak besides IMAP and POP3, on the same port each, where a test asks for it. */
export const SIEVE_PORT = 23190;
export const SUBMISSION_PORT = 23587;

interface LabService {
  /** A file of the Debian package that has the service. */
  readonly file: string;
  readonly package: string;
  /** Goes behind the template of dovecot.conf. */
  readonly config: string;
}

const SERVICES = {
  managesieve: {
    file: '/usr/lib/dovecot/managesieve',
    package: 'dovecot-managesieved',
    config: `
protocols = $protocols sieve
managesieve_logout_format = bytes=%i/%o ended=<%{pid}/%{session}>
service managesieve-login {
  inet_listener sieve {
    port = ${SIEVE_PORT}
  }
  service_count = 0
  process_limit = 2
  process_min_avail = 1
}
service managesieve {
  process_limit = 1100
}
plugin {
  sieve = file:~/sieve;active=~/.dovecot.sieve
}
`,
  },
  submission: {
    file: '/usr/lib/dovecot/submission',
    package: 'dovecot-submissiond',
    config: `
protocols = $protocols submission
submission_logout_format = in=%i out=%o ended=<%{pid}/%{session}>
submission_relay_host = ${relayAddress()}
submission_relay_port = ${RELAY_PORT}
submission_relay_ssl = no
service submission-login {
  inet_listener submission {
    port = ${SUBMISSION_PORT}
  }
  service_count = 0
  process_limit = 2
  process_min_avail = 1
}
service submission {
  process_limit = 1100
}
`,
  },
} as const satisfies Readonly<Record<string, LabService>>;

export type LabServiceName = keyof typeof SERVICES;

/** Options for DovecotLab.start(); installs what is missing. */
export async function labServices(...names: LabServiceName[]): Promise<DovecotOptions> {
  const services: LabService[] = names.map((name) => SERVICES[name]);
  for (const service of services) await requireFile(service.file, [service.package]);
  return { config: () => services.map((service) => service.config).join('') };
}
