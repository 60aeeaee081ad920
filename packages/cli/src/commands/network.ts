import type { Network } from "@berth/contracts";
import type { Command } from "commander";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { tableOf } from "../render/table.js";
import { sinceText } from "../render/units.js";
import type { Session } from "../session.js";

/** `berth network create|list|remove` */
export function registerNetwork(registrar: Registrar): void {
	const group = registrar.program
		.command("network")
		.description("make, list or remove networks of functions")
		.addHelpText("after", "\nExamples:\n  berth network create shop\n  berth network list\n  berth network remove shop");
	registerCreate(group, registrar);
	registerNetworkList(group, registrar);
	registerRemove(group, registrar);
}

function registerCreate(group: Command, { action }: Registrar): void {
	group
		.command("create")
		.description('make a network; functions join it with "network": {"join": "<name>"}')
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth network create shop")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				await client.makeNetwork(name);
				if (session.json) session.terminal.json({ name });
				else
					session.terminal.note(
						`Functions deployed with "network": {"join": ${JSON.stringify(name)}} reach each other as http://<function>/.`,
					);
				return EXIT.ok;
			}),
		);
}

function registerNetworkList(group: Command, { action }: Registrar): void {
	group
		.command("list")
		.alias("ls")
		.description("list networks and the functions on them")
		.addHelpText("after", "\nExample:\n  berth network list")
		.action(
			action(async (session: Session) => {
				const { terminal, json } = session;
				const { client } = await session.connect();
				const networks = await client.networks();
				if (json) terminal.json({ networks });
				else if (networks.length === 0) terminal.note(`There is no network. \`${session.berth} network create <name>\` makes one.`);
				else terminal.print(networksTable(networks));
				return EXIT.ok;
			}),
		);
}

function registerRemove(group: Command, { action }: Registrar): void {
	group
		.command("remove")
		.alias("rm")
		.description("remove a network that no function is on")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth network remove shop")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				await client.removeNetwork(name);
				if (session.json) session.terminal.json({ removed: name });
				else session.terminal.note(`${name} is removed.`);
				return EXIT.ok;
			}),
		);
}

function networksTable(networks: readonly Network[]): string {
	const now = Date.now();
	return tableOf(networks, [
		{ heading: "NETWORK", cell: ({ name }) => name },
		{ heading: "FUNCTIONS", cell: ({ functions }) => functions.join(", ") || "-" },
		{ heading: "CREATED", cell: ({ createdAt }) => sinceText(createdAt, now) },
	]);
}
