import { text } from "node:stream/consumers";
import type { PackageRegistryEntry, PackageRegistryList } from "@berth/contracts";
import type { Command } from "commander";
import { CommandFailure, EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { tableOf } from "../render/table.js";
import { sinceText } from "../render/units.js";
import type { Session } from "../session.js";

const HELP = `
Which registries there may be is the operator's to say (BERTH_PACKAGE_REGISTRIES,
BERTH_PYPI_INDEXES of Python; docs/settings.md). A login is read from stdin, stored sealed, never shown again, and
sent to its own host alone, by the worker: no build sees it.

Examples:
  echo "$TOKEN" | berth registry set npm.pkg.github.com --scope @acme --token-stdin
  berth registry list
  berth registry remove npm.pkg.github.com`;

interface SetOptions {
	readonly scope: readonly string[];
	readonly tokenStdin?: boolean;
	readonly username?: string;
	readonly passwordStdin?: boolean;
}

/** `berth registry set|list|remove` */
export function registerRegistry(registrar: Registrar): void {
	const registry = registrar.program
		.command("registry")
		.description("package registries that dependencies are installed from, and logins there")
		.addHelpText("after", HELP);
	registerSet(registry, registrar);
	registerList(registry, registrar);
	registerRemove(registry, registrar);
}

function registerSet(registry: Command, { action, stdin }: Registrar): void {
	registry
		.command("set")
		.description("use a registry, in place of what there was of its host")
		.argument("<host>", "as in its URL: npm.pkg.github.com, npm.example.com:4873")
		.option("--scope <scope>", "a scope whose packages it has; may be repeated", (scope: string, all: string[]) => [...all, scope], [])
		.option("--token-stdin", "log in with the token that stdin has")
		.option("--username <name>", "log in by this name, with a password")
		.option("--password-stdin", "the password is what stdin has")
		.action(
			action(async (session: Session, { scope, tokenStdin, username, passwordStdin }: SetOptions, host: string) => {
				if ((username === undefined) !== (passwordStdin !== true))
					throw new CommandFailure(EXIT.usage, "--username and --password-stdin go together");
				if (tokenStdin === true && passwordStdin === true)
					throw new CommandFailure(EXIT.usage, "stdin has a token or a password: leave out --token-stdin or --username");
				const secret = tokenStdin === true || passwordStdin === true ? (await text(stdin)).trim() : undefined;
				const login = secret === undefined ? {} : username === undefined ? { token: secret } : { username, password: secret };
				const { client } = await session.connect();
				const entry = await client.setPackageRegistry(host, { scopes: [...scope], ...login });
				if (session.json) session.terminal.json(entry);
				else session.terminal.print(registriesTable([entry]));
				return EXIT.ok;
			}),
		);
}

function registerList(registry: Command, { action }: Registrar): void {
	registry
		.command("list")
		.alias("ls")
		.description("list the project's registries")
		.action(
			action(async (session: Session) => {
				const { client } = await session.connect();
				const list = await client.packageRegistries();
				if (session.json) session.terminal.json(list);
				else if (list.registries.length === 0) session.terminal.note(noneText(list, session.berth));
				else session.terminal.print(registriesTable(list.registries));
				return EXIT.ok;
			}),
		);
}

function registerRemove(registry: Command, { action }: Registrar): void {
	registry
		.command("remove")
		.alias("rm")
		.description("use a registry no longer, and forget its login")
		.argument("<host>", "as in `berth registry list`")
		.action(
			action(async (session: Session, _options: object, host: string) => {
				const { client } = await session.connect();
				await client.removePackageRegistry(host);
				if (session.json) session.terminal.json({ removed: host });
				else session.terminal.print(`removed ${host}`);
				return EXIT.ok;
			}),
		);
}

function noneText({ allowed }: PackageRegistryList, berth: string): string {
	return `There is none but the installation's own. \`${berth} registry set <host>\` may set ${allowed.join(", ")}.`;
}

function registriesTable(registries: readonly PackageRegistryEntry[]): string {
	const now = Date.now();
	return tableOf(registries, [
		{ heading: "HOST", cell: (each) => each.host },
		{ heading: "SCOPES", cell: (each) => each.scopes.join(" ") || "-" },
		{ heading: "LOGIN", cell: (each) => (each.username === undefined ? each.login : `${each.login} of ${each.username}`) },
		{ heading: "SET", cell: (each) => sinceText(each.updatedAt, now) },
	]);
}
