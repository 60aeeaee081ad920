/** Variables of a person's, beside the settings of a stack. */
export const USER_VARIABLES = ["BERTH_URL", "BERTH_API_KEY", "BERTH_PROJECT", "BERTH_CA_FILE"] as const;

/** What a person's environment says to the command line: which stack, which key, how to print. */
export interface UserSettings {
	/** BERTH_URL: the gateway to talk to; default: the stack of this machine. */
	readonly url?: string;
	/** BERTH_API_KEY */
	readonly key?: string;
	/** BERTH_PROJECT: the project that commands are about; default: the key's, of the operator's key `default`. */
	readonly project?: string;
	/** BERTH_CA_FILE: certificates of issuers to trust, in place of the system's. */
	readonly caFile?: string;
	/** BERTH_DATA_DIR: where this machine's stack keeps its state. */
	readonly dataDir?: string;
	/** NO_COLOR is set to anything (no-color.org). */
	readonly noColour: boolean;
}

/** Reads the variables of the command line. An empty one counts as absent. */
export function userSettings(env: Readonly<Record<string, string | undefined>> = process.env): UserSettings {
	const given = (name: string) => (env[name] === "" ? undefined : env[name]);
	const url = given("BERTH_URL");
	const key = given("BERTH_API_KEY");
	const project = given("BERTH_PROJECT");
	const caFile = given("BERTH_CA_FILE");
	const dataDir = given("BERTH_DATA_DIR");
	return Object.freeze({
		...(url === undefined ? {} : { url }),
		...(key === undefined ? {} : { key }),
		...(project === undefined ? {} : { project }),
		...(caFile === undefined ? {} : { caFile }),
		...(dataDir === undefined ? {} : { dataDir }),
		noColour: given("NO_COLOR") !== undefined,
	});
}
