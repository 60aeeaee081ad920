import type { Volume } from "@berth/contracts";
import { MIB } from "@berth/contracts";
import type { Command } from "commander";
import { EXIT } from "../exit-codes.js";
import { parseMemoryMiB } from "../input/sizes.js";
import type { Registrar } from "../registrar.js";
import { tableOf } from "../render/table.js";
import { bytesText, sinceText } from "../render/units.js";
import type { Session } from "../session.js";

/** `berth volume create|list|inspect|remove` */
export function registerVolume(registrar: Registrar): void {
	const group = registrar.program
		.command("volume")
		.description("make, list, inspect or remove volumes of functions")
		.addHelpText("after", "\nExamples:\n  berth volume create data --size 4GiB\n  berth volume list\n  berth volume remove data");
	registerCreate(group, registrar);
	registerVolumeList(group, registrar);
	registerVolumeInspect(group, registrar);
	registerRemove(group, registrar);
}

function registerCreate(group: Command, { action }: Registrar): void {
	group
		.command("create")
		.description('make a volume; functions with "volumes": [{"name": "<name>"}] have it at /mnt/<name>')
		.argument("<name>", "its name")
		.option("--size <size>", "what it may hold: 64, 512MiB, 4GiB (default: 1GiB)", parseMemoryMiB)
		.addHelpText("after", "\nExample:\n  berth volume create data --size 4GiB")
		.action(
			action(async (session: Session, { size: sizeMiB }: { readonly size?: number }, name: string) => {
				const { client } = await session.connect();
				const volume = await client.makeVolume(name, sizeMiB === undefined ? {} : { sizeMiB });
				if (session.json) session.terminal.json(volume);
				else
					session.terminal.note(
						`${sizeText(volume)}. Functions deployed with "volumes": [{"name": ${JSON.stringify(name)}}] have it at /mnt/${name}.`,
					);
				return EXIT.ok;
			}),
		);
}

function registerVolumeList(group: Command, { action }: Registrar): void {
	group
		.command("list")
		.alias("ls")
		.description("list volumes and the functions that have them")
		.addHelpText("after", "\nExample:\n  berth volume list")
		.action(
			action(async (session: Session) => {
				const { terminal, json } = session;
				const { client } = await session.connect();
				const volumes = await client.volumes();
				if (json) terminal.json({ volumes });
				else if (volumes.length === 0) terminal.note(`There is no volume. \`${session.berth} volume create <name>\` makes one.`);
				else terminal.print(volumesTable(volumes));
				return EXIT.ok;
			}),
		);
}

function registerVolumeInspect(group: Command, { action }: Registrar): void {
	group
		.command("inspect")
		.description("show all there is to know of a volume")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth volume inspect data")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				const volume = await client.volume(name);
				if (session.json) session.terminal.json(volume);
				else session.terminal.print(inspectedText(volume));
				return EXIT.ok;
			}),
		);
}

function registerRemove(group: Command, { action }: Registrar): void {
	group
		.command("remove")
		.alias("rm")
		.description("remove a volume that no function has, with everything in it")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth volume remove data")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				await client.removeVolume(name);
				if (session.json) session.terminal.json({ removed: name });
				else session.terminal.note(`${name} is removed.`);
				return EXIT.ok;
			}),
		);
}

function volumesTable(volumes: readonly Volume[]): string {
	const now = Date.now();
	return tableOf(volumes, [
		{ heading: "VOLUME", cell: ({ name }) => name },
		{ heading: "SIZE", cell: sizeText },
		{ heading: "STATE", cell: ({ state }) => state },
		{ heading: "FUNCTIONS", cell: ({ functions }) => functions.join(", ") || "-" },
		{ heading: "CREATED", cell: ({ createdAt }) => sinceText(createdAt, now) },
	]);
}

function inspectedText(volume: Volume): string {
	const { name, id, state, node, createdAt, functions } = volume;
	const rows = [
		["volume", name],
		["size", sizeText(volume)],
		["state", state],
		["functions", functions.join(", ") || "-"],
		["node", node],
		["id", id],
		["created", createdAt],
	] as const;
	return rows.map(([what, value]) => `${what.padEnd(10)} ${value}`).join("\n");
}

function sizeText({ sizeMiB }: Volume): string {
	return bytesText(sizeMiB * MIB);
}
