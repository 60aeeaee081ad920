import { resolve } from "node:path";
import { type Client, createClient, type Exchange } from "@berth/client";
import { loadSettings, type Settings, settingsWith, type UserSettings } from "@berth/config";
import { DEFAULT_PROJECT, NAME_PATTERN, NAME_RULE } from "@berth/contracts";
import { CommandFailure, EXIT } from "./exit-codes.js";
import { berthIn } from "./render/command-line.js";
import { durationText } from "./render/units.js";
import { readAdminKey } from "./supervisor/admin-key.js";
import { readSupervisorState } from "./supervisor/state-file.js";
import { codeOf } from "./system-errors.js";
import type { Terminal } from "./terminal.js";
import { ownTrust, type TlsTrust, trustOf } from "./tls-trust.js";

/** Options that every command has. */
export interface GlobalOptions {
	readonly url?: string;
	readonly key?: string;
	readonly project?: string;
	readonly caFile?: string;
	readonly data?: string;
	readonly json?: boolean;
	readonly verbose?: boolean;
}

/** What a header may have without quotes: a key of ours has less. */
const KEY = /^[\x21-\x7e]+$/;

function noKey(): never {
	throw new CommandFailure(EXIT.unreachable, "an API key is needed: --key or BERTH_API_KEY");
}

/** Where a gateway is, the key for it, and the project. */
interface Target {
	readonly url: string;
	readonly key?: string;
	readonly project?: string;
	readonly tls?: TlsTrust;
}

/** One run of a command: how it prints, whom it talks to. Whoever made it disposes of it. */
export class Session implements AsyncDisposable {
	readonly terminal: Terminal;
	readonly json: boolean;
	readonly verbose: boolean;
	readonly #options: GlobalOptions;
	readonly #user: UserSettings;
	#connection: Promise<{ client: Client; url: string }> | undefined;

	constructor(terminal: Terminal, user: UserSettings, options: GlobalOptions) {
		this.terminal = terminal;
		this.json = options.json === true;
		this.verbose = options.verbose === true;
		this.#options = options;
		this.#user = user;
	}

	/** The data directory of this machine's stack that is meant: absolute. */
	get dataDir(): string {
		return resolve(this.#options.data ?? this.#user.dataDir ?? loadSettings({}).dataDir);
	}

	/**
	 * The settings a stack is started with: the environment's, under what the command line says.
	 * @param options what the command line calls those
	 * @throws SettingsError
	 */
	settings(overrides: Parameters<typeof settingsWith>[0] = {}, options: Parameters<typeof settingsWith>[2] = {}): Settings {
		const given = Object.entries(options).filter(([name]) => name in overrides);
		const flags = { ...Object.fromEntries(given), ...(this.#options.data === undefined ? {} : { BERTH_DATA_DIR: "--data" }) };
		return settingsWith({ ...overrides, BERTH_DATA_DIR: this.dataDir }, undefined, flags);
	}

	/** The project that was named; without one it is the key's. */
	get project(): string | undefined {
		return this.#options.project ?? this.#user.project;
	}

	/** `berth`, for a hint that can be typed as it stands: it leads to the project that this command was for. */
	get berth(): string {
		return berthIn(this.project);
	}

	/** The API key of the command line or the environment, to be left out of what is written. */
	get givenKey(): string | undefined {
		return this.#options.key ?? this.#user.key;
	}

	/** Where the gateway is and a client of it: as the command line says, else the environment, else this machine's stack. */
	connect(): Promise<{ client: Client; url: string }> {
		this.#connection ??= this.#open();
		return this.#connection;
	}

	/** Where the gateway is and the key, for what makes its own connections. @throws CommandFailure when there is no key */
	async target(): Promise<{ readonly url: string; readonly key: string }> {
		const { url, key, project } = await this.#checkedTarget();
		if (project !== undefined && project !== DEFAULT_PROJECT)
			throw new CommandFailure(
				EXIT.usage,
				`this is done in the project ${DEFAULT_PROJECT}, or in that of --key: leave --project (BERTH_PROJECT) out`,
			);
		return { url, key: key ?? noKey() };
	}

	async #open(): Promise<{ client: Client; url: string }> {
		const target = await this.#checkedTarget();
		const client = createClient({ ...target, ...(this.verbose ? { trace: (exchange: Exchange) => this.#trace(exchange) } : {}) });
		return { client, url: target.url };
	}

	async #checkedTarget(): Promise<Target> {
		const target = await this.#target();
		if (!/^https?:\/\/./.test(target.url) || !URL.canParse(target.url)) {
			throw new CommandFailure(EXIT.usage, `${target.url} is no URL of a gateway: http://HOST:PORT or https://HOST is wanted`);
		}
		if (target.key !== undefined && !KEY.test(target.key))
			throw new CommandFailure(
				EXIT.usage,
				"the API key (--key or BERTH_API_KEY) has a space or another character that no key has: look at how it was pasted",
			);
		const { project } = this;
		if (project !== undefined && !NAME_PATTERN.test(project))
			throw new CommandFailure(EXIT.usage, `the project (--project or BERTH_PROJECT) has a name that none has: ${NAME_RULE}`);
		return { ...target, ...(project === undefined ? {} : { project }), url: target.url.replace(/\/+$/, "") };
	}

	async #target(): Promise<Target> {
		const url = this.#options.url ?? this.#user.url;
		const key = this.#options.key ?? this.#user.key;
		const caFile = this.#options.caFile ?? this.#user.caFile;
		const named = caFile === undefined ? {} : { tls: await trustOf(caFile) };
		if (url !== undefined && key !== undefined) return { url, key, ...named };
		const { paths } = this.settings();
		const { url: local, certificate, startedWith, phase } = (await readSupervisorState(paths)) ?? {};
		// The stored key goes to the stack that it was made for, and to no other URL.
		if (url !== undefined && url.replace(/\/+$/, "") !== local) return { url, ...named };
		if (local === undefined) {
			throw new CommandFailure(
				EXIT.unreachable,
				phase === "ready"
					? `this machine has a worker alone (${this.dataDir}), and no gateway to ask: --url or BERTH_URL names one, --key or BERTH_API_KEY a key for it.`
					: `no stack is up in ${this.dataDir}. \`berth up\` starts one; --url or BERTH_URL names another.`,
			);
		}
		const own = certificate === undefined || caFile !== undefined ? named : { tls: await this.#ownTrust(certificate, startedWith) };
		return { url: local, key: key ?? (await this.#storedKey()), ...own };
	}

	async #ownTrust(certificate: string, startedWith: string | undefined): Promise<TlsTrust> {
		const { tls, fault } = await ownTrust(certificate, startedWith);
		if (fault !== undefined) this.terminal.note(`${this.terminal.style("yellow", "warning")}: ${fault.found} ${fault.mend}`);
		return tls;
	}

	async #storedKey(): Promise<string> {
		try {
			const key = await readAdminKey(this.settings().paths);
			if (key !== undefined) return key;
		} catch (error) {
			if (codeOf(error) !== "EACCES") throw error;
			throw new CommandFailure(EXIT.unreachable, "an API key is needed: --key or BERTH_API_KEY (the stack's own can only be read by root)");
		}
		throw new CommandFailure(EXIT.unreachable, `an API key is needed: --key or BERTH_API_KEY (none is stored in ${this.dataDir})`);
	}

	#trace(exchange: Exchange): void {
		this.terminal.note(
			this.terminal.style("dim", `${exchange.method} ${exchange.url} ${exchange.status ?? "no answer"} ${durationText(exchange.totalMs)}`),
		);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const opened = await this.#connection?.catch(() => undefined);
		await opened?.client.close();
	}
}
