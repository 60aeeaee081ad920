import type { Project } from "@berth/contracts";
import type { Command } from "commander";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { tableOf } from "../render/table.js";
import { sinceText } from "../render/units.js";
import type { Session } from "../session.js";
import { registerProjectQuotas } from "./project-quotas.js";

const EXAMPLES = `
A project has functions, API keys, networks, volumes and records of its own.

Examples:
  berth project create shop
  berth --project shop key create ci --scope deploy
  berth --project shop list
  berth project set shop --functions 50 --requests-per-second 100
  berth project remove shop`;

/** `berth project create|list|show|set|remove` */
export function registerProject(registrar: Registrar): void {
	const group = registrar.program
		.command("project")
		.description("make, list, bound or remove projects, with the operator's key")
		.addHelpText("after", EXAMPLES);
	registerCreate(group, registrar);
	registerProjectList(group, registrar);
	registerProjectQuotas(group, registrar);
	registerRemove(group, registrar);
}

function registerCreate(group: Command, { action }: Registrar): void {
	group
		.command("create")
		.description("make a project")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth project create shop")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				const isNew = await client.makeProject(name);
				if (!isNew && !session.json) session.terminal.note(`There is a project ${name} already; it is as it was.`);
				if (session.json) session.terminal.json({ name });
				else session.terminal.note(`\`berth --project ${name} key create <name> --scope admin\` makes a key for who is to look after it.`);
				return EXIT.ok;
			}),
		);
}

function registerProjectList(group: Command, { action }: Registrar): void {
	group
		.command("list")
		.alias("ls")
		.description("list projects")
		.addHelpText("after", "\nExample:\n  berth project list")
		.action(
			action(async (session: Session) => {
				const { client } = await session.connect();
				const projects = await client.projects();
				if (session.json) session.terminal.json({ projects });
				else session.terminal.print(projectsTable(projects));
				return EXIT.ok;
			}),
		);
}

function registerRemove(group: Command, { action }: Registrar): void {
	group
		.command("remove")
		.alias("rm")
		.description("remove a project without functions, networks and volumes, with its API keys and secrets")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth project remove shop")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				await client.removeProject(name);
				if (session.json) session.terminal.json({ removed: name });
				else session.terminal.note(`${name} is removed, and its API keys with it.`);
				return EXIT.ok;
			}),
		);
}

function projectsTable(projects: readonly Project[]): string {
	const now = Date.now();
	return tableOf(projects, [
		{ heading: "PROJECT", cell: ({ name }) => name },
		{ heading: "CREATED", cell: ({ createdAt }) => (createdAt === undefined ? "-" : sinceText(createdAt, now)) },
	]);
}
