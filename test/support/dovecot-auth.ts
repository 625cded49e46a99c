import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { labAddress } from './dovecot.ts';
import { DovecotProcess } from './dovecot-process.ts';
import { makeLabDirectory } from './lab-directory.ts';
import { requireFile } from './require-program.ts';
import { outputOf } from './run-program.ts';

const LUA_MODULE = '/usr/lib/dovecot/modules/auth/libauthdb_lua.so';
const AUTH_PORT = 23990;
const USERDB_PORT = 23991;

/** One line per user, as in Dovecot's passwd-file. */
const USERS = `
alice:{PLAIN}alice pass::::::proxy=y
berta:{PLAIN}berta pass::::::proxy=y host=192.0.2.99 port=1143 destuser=berta@inside director_tag=east forward_unit=7
clara:{PLAIN}clara pass::::::proxy=y master=boss pass=boss-pass
doris:{PLAIN}doris pass::::::proxy=y director_tag=east pass=pass
dora:{PLAIN}dora pass::::::proxy=y master=boss pass=boss-pass destuser=dora-inside
tom:{PLAIN}tok3n.abc_-~+/x==::::::proxy=y
closed:{PLAIN}closed pass::::::nologin=y reason=Closed_today
`;

/** Those whom no file of users can make: see the fields of each. */
const LUA = `
function auth_password_verify(request, password)
  if request.user == "expired" then
    return dovecot.auth.PASSDB_RESULT_PASS_EXPIRED, "reason=Change\\\\ it"
  elseif request.user == "disabled" then
    return dovecot.auth.PASSDB_RESULT_USER_DISABLED, ""
  elseif request.user == "broken" then
    return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, ""
  elseif request.user == "slow" then
    local gate = io.open("@DIRECTORY@/gate", "r")
    gate:read("*a")
    gate:close()
    return dovecot.auth.PASSDB_RESULT_OK, "proxy=y"
  elseif request.user == "escaped" and password == "a: %u\\"\\\\\\195\\169" then
    return dovecot.auth.PASSDB_RESULT_OK, "proxy=y"
  elseif request.user == "told" and password == "told pass" then
    return dovecot.auth.PASSDB_RESULT_OK, {
      proxy = "y", tabbed = "one\\ttwo\\001three",
      seen = request.service .. " " .. request.rip .. " " .. request.lip .. " " .. request.session ..
        " " .. request.secured
    }
  end
  return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, ""
end
function auth_passdb_lookup(request)
  return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, ""
end
`;

/** A real Dovecot with nothing but its auth process, on unix sockets and TCP. */
export class DovecotAuthServer {
  readonly directory: string;
  readonly clientSocket: string;
  readonly userdbSocket: string;
  readonly ip: string;
  readonly clientPort = AUTH_PORT;
  readonly userdbPort = USERDB_PORT;
  readonly #process: DovecotProcess;

  private constructor(directory: string, ip: string) {
    this.directory = directory;
    this.ip = ip;
    this.clientSocket = join(directory, 'run', 'auth-client');
    this.userdbSocket = join(directory, 'run', 'auth-userdb');
    this.#process = new DovecotProcess({
      name: 'dovecot-auth',
      configPath: join(directory, 'dovecot.conf'),
      logPath: join(directory, 'dovecot.log'),
      packages: ['dovecot-core', 'dovecot-imapd', 'dovecot-pop3d'],
    });
  }

  /** `more`: further settings, e.g. a passdb of its own that is asked first. */
  static async start(number: number, more = ''): Promise<DovecotAuthServer> {
    await requireFile(LUA_MODULE, ['dovecot-auth-lua']);
    const directory = makeLabDirectory();
    const server = new DovecotAuthServer(directory, labAddress(number));
    for (const folder of ['run', 'state']) mkdirSync(join(directory, folder), { mode: 0o755 });
    writeFileSync(join(directory, 'users'), USERS, 'latin1');
    writeFileSync(join(directory, 'users.lua'), LUA.replaceAll('@DIRECTORY@', directory));
    writeFileSync(join(directory, 'dovecot.log'), '');
    writeFileSync(join(directory, 'dovecot.conf'), configuration(server, more));
    await outputOf('mkfifo', ['-m', '666', join(directory, 'gate')]);
    await server.startAgain();
    return server;
  }

  async startAgain(): Promise<void> {
    await this.#process.start(() => accepts(this.clientSocket));
  }

  /** A crash of all its processes. */
  async kill(): Promise<void> {
    await this.#process.end('SIGKILL');
  }

  /** Lets the user "slow" in, once. */
  async openGate(): Promise<void> {
    await outputOf('sh', ['-c', `echo > ${join(this.directory, 'gate')}`]);
  }

  async stop(): Promise<void> {
    await this.#process.end('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function configuration({ directory, ip }: DovecotAuthServer, more: string): string {
  return `
base_dir = ${directory}/run
state_dir = ${directory}/state
instance_name = auth-${ip}
listen = ${ip}
protocols =
ssl = no
log_path = ${directory}/dovecot.log
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
first_valid_uid = 1
${more}
passdb {
  driver = passwd-file
  args = username_format=%u ${directory}/users
}
passdb {
  driver = lua
  args = file=${directory}/users.lua blocking=yes
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent allow_all_users=yes
}
service auth {
  unix_listener auth-client {
    mode = 0666
  }
  unix_listener auth-userdb {
    mode = 0600
  }
  inet_listener auth-client {
    port = ${AUTH_PORT}
  }
  inet_listener auth-userdb {
    port = ${USERDB_PORT}
  }
}
service stats {
  client_limit = 100
}
`;
}

async function accepts(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
