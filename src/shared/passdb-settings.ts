/**
 * Settings of the user databases as the workers get them: checked, defaults filled in, contents of files where
 * main has read them. One interface per driver, told apart by `driver`.
 */
export type PassdbSettings = PassthroughSettings;

/** What every driver has. */
export interface CommonPassdbSettings {
  /** For the log and the cache: unique among the databases of the configuration. */
  readonly name: string;
  /** Fields (Dovecot's passdb fields) that apply unless the database says something else. */
  readonly defaultFields: Readonly<Record<string, string>>;
  /** Fields that apply whatever the database says. */
  readonly overrideFields: Readonly<Record<string, string>>;
  /** Only asked about master users: who may log in as another one, with an authorisation id. */
  readonly isMaster: boolean;
}

/** The backend verifies. */
export interface PassthroughSettings extends CommonPassdbSettings {
  readonly driver: 'passthrough';
}
