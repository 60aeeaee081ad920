import { type Secret, secretVariableFault } from "@berth/contracts";
import type { Command } from "commander";
import { EXIT } from "../exit-codes.js";
import { secretValueOf } from "../input/secret-value.js";
import type { Registrar } from "../registrar.js";
import { tableOf } from "../render/table.js";
import { sinceText } from "../render/units.js";
import type { Session } from "../session.js";

const HELP = `
A value is read from stdin, from a file, or typed; it is stored sealed, and never shown again.
A function that names it in its manifest ("secrets": ["STRIPE_KEY"]) has it as a variable of its environment; one that binds it to a host
({"name": "STRIPE_KEY", "host": "api.stripe.com", "header": "authorization", "prefix": "Bearer "}) never has it:
its requests to that host get the header on their way out.

Examples:
  berth secret set STRIPE_KEY
  printf %s "$KEY" | berth secret set STRIPE_KEY
  berth secret set TLS_KEY --value-file key.pem
  berth secret list
  berth secret remove STRIPE_KEY`;

/** `berth secret set|list|remove` */
export function registerSecret(registrar: Registrar): void {
	const group = registrar.program.command("secret").description("set, list or remove secrets of functions").addHelpText("after", HELP);
	registerSet(group, registrar);
	registerSecretList(group, registrar);
	registerRemove(group, registrar);
}

function registerSet(group: Command, { action, stdin }: Registrar): void {
	group
		.command("set")
		.description("give a secret a value, in place of what it had")
		.argument("<name>", "its name, which is the variable's")
		.option("--value-file <file>", "a file with the value; `-`: stdin. One line end behind it isn't part of it")
		.addHelpText("after", '\nExample:\n  printf %s "$KEY" | berth secret set STRIPE_KEY')
		.action(
			action(async (session: Session, { valueFile }: { readonly valueFile?: string }, name: string) => {
				const value = await secretValueOf(name, valueFile, stdin, session.terminal);
				const { client } = await session.connect();
				const secret = await client.setSecret(name, { value });
				if (session.json) session.terminal.json(secret);
				else session.terminal.note(`${name} is set. ${useOf(name)}`);
				return EXIT.ok;
			}),
		);
}

/** What can be done with it: the gateway refuses some names as variables. */
function useOf(name: string): string {
	const fault = secretVariableFault(name);
	if (fault !== undefined) return `It can be sent to a host (\`berth secret --help\`), but ${fault}.`;
	return `Functions deployed with "secrets": [${JSON.stringify(name)}] have it as the variable ${name} of their environment.`;
}

function registerSecretList(group: Command, { action }: Registrar): void {
	group
		.command("list")
		.alias("ls")
		.description("list secrets, without their values, and the functions that have them")
		.addHelpText("after", "\nExample:\n  berth secret list")
		.action(
			action(async (session: Session) => {
				const { terminal, json } = session;
				const { client } = await session.connect();
				const secrets = await client.secrets();
				if (json) terminal.json({ secrets });
				else if (secrets.length === 0) terminal.note(`There is no secret. \`${session.berth} secret set <name>\` makes one.`);
				else terminal.print(secretsTable(secrets));
				return EXIT.ok;
			}),
		);
}

function registerRemove(group: Command, { action }: Registrar): void {
	group
		.command("remove")
		.alias("rm")
		.description("remove a secret that no function has")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth secret remove STRIPE_KEY")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				await client.removeSecret(name);
				if (session.json) session.terminal.json({ removed: name });
				else session.terminal.note(`${name} is removed.`);
				return EXIT.ok;
			}),
		);
}

function secretsTable(secrets: readonly Secret[]): string {
	const now = Date.now();
	return tableOf(secrets, [
		{ heading: "SECRET", cell: ({ name }) => name },
		{ heading: "FUNCTIONS", cell: ({ functions }) => functions.join(", ") || "-" },
		{
			heading: "SENT TO",
			cell: ({ bindings }) => [...new Set(bindings.map(({ host, header }) => `${host} (${header})`))].join(", ") || "-",
		},
		{ heading: "SET", cell: ({ updatedAt }) => sinceText(updatedAt, now) },
	]);
}
