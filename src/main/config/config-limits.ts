/** Every limit of the configuration, in one place. */
export const configLimits = {
  fileBytes: 1024 * 1024,
  /** Problems that one error lists; more are counted. */
  problems: 20,
  /** Nodes that YAML aliases may make of one anchor (maxAliasCount). */
  yamlAliases: 100,
  /** Characters of a found value that an error shows. */
  shownChars: 60,
  services: 64,
  /** Backend addresses of the configuration; a host id has 16 bits. */
  mailServers: 65535,
  /** Directors of one ring. */
  ringServers: 64,
  /** TCP listeners of the director-admin protocol. */
  adminListeners: 16,
  trustedNetworks: 1000,
  /** Of a greeting, a capability list and other one-line texts. */
  lineChars: 512,
  tagChars: 64,
  /** Leaves room for socket names below it: an address of a unix socket has 108 bytes. */
  baseDirBytes: 80,
  /** Of a unix socket: the kernel has 108 bytes, with a NUL. */
  socketPathBytes: 107,
  /** Of a file that the configuration names. */
  pathBytes: 4095,
  workers: 256,
  /** Further certificates, for other host names. */
  certificates: 1000,
  fingerprints: 64,
  words: 64,
  /** Names of Sieve extensions. */
  sieveChars: 2048,
  hostNameChars: 253,
  passdbs: 32,
  passdbNameChars: 64,
  /** default_fields and override_fields of one database. */
  passdbFields: 64,
  passdbFieldChars: 4096,
  /** A password or key, in the file or in one of its own. */
  secretChars: 8192,
} as const;
