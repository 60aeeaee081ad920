import { type ProjectDetail, QUOTA_NAMES, QUOTAS, type QuotaChanges, type QuotaName } from "@berth/contracts";
import { type Command, InvalidArgumentError, Option } from "commander";
import { CommandFailure, EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { tableOf } from "../render/table.js";
import type { Session } from "../session.js";

const VALUE = "<number|unlimited|default>";

/** `berth project show|set` */
export function registerProjectQuotas(group: Command, registrar: Registrar): void {
	registerShow(group, registrar);
	registerSet(group, registrar);
}

function registerShow(group: Command, { action }: Registrar): void {
	group
		.command("show")
		.description("show a project's quotas, and what of them is used; its own keys may")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth project show shop")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				show(session, await client.project(name));
				return EXIT.ok;
			}),
		);
}

function registerSet(group: Command, { action }: Registrar): void {
	const command = group
		.command("set")
		.description("set quotas of a project; those that aren't named stay")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth project set shop --functions 50 --requests-per-second 100 --burst 200 --queued unlimited");
	const options = QUOTA_NAMES.map((quota) => {
		const option = new Option(`${flagOf(quota)} ${VALUE}`, `${QUOTAS[quota].of} that it may have`).argParser(parserOf(quota));
		command.addOption(option);
		return { quota, key: option.attributeName() };
	});
	command.action(
		action(async (session: Session, given: Readonly<Record<string, number | "unlimited" | "default">>, name: string) => {
			const named = options.filter(({ key }) => given[key] !== undefined);
			const changes: QuotaChanges = Object.fromEntries(
				named.map(({ quota, key }) => [quota, given[key] === "default" ? null : given[key]]),
			);
			if (Object.keys(changes).length === 0)
				throw new CommandFailure(EXIT.usage, `say what is to change: ${QUOTA_NAMES.map(flagOf).join(", ")}`);
			const { client } = await session.connect();
			show(session, await client.setQuotas(name, changes));
			return EXIT.ok;
		}),
	);
}

function show({ terminal, json }: Session, project: ProjectDetail): void {
	if (json) terminal.json(project);
	else terminal.print(quotasTable(project));
}

function flagOf(name: QuotaName): string {
	return `--${name.replace("MiB", "Mib").replace(/[A-Z]+/g, (capitals) => `-${capitals.toLowerCase()}`)}`;
}

function parserOf(name: QuotaName): (text: string) => number | "unlimited" | "default" {
	const { min, max } = QUOTAS[name];
	return (text) => {
		// Null would be the empty text: commander takes it for an option without a value.
		if (text === "unlimited" || text === "default") return text;
		const value = Number(text);
		if (!/^\d{1,12}$/.test(text) || value < min || value > max)
			throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}, unlimited, or default.`);
		return value;
	};
}

function quotasTable({ quotas }: ProjectDetail): string {
	return tableOf(QUOTA_NAMES, [
		{ heading: "QUOTA", cell: (name) => flagOf(name).slice(2) },
		{ heading: "USED", cell: (name) => String(quotas[name].used ?? "-"), align: "right" },
		{ heading: "LIMIT", cell: (name) => String(quotas[name].limit ?? "unlimited"), align: "right" },
		{ heading: "SET", cell: (name) => (quotas[name].own ? "for it" : "default") },
	]);
}
