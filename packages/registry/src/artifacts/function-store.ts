import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, type FunctionSummary, NAME_PATTERN } from "@berth/contracts";
import { isMissing } from "./blob.js";
import type { Deposit } from "./deposit.js";

const SHAPE = 1;
const SUFFIX = ".json";

/**
 * What of a function no image says: where its aliases lead. A copy of what is in the durable Redis, for the day on which that is
 * lost. One file each, `<project>/<name>.json`: `{shape, project, name, live?, aliases, latest, createdAt, updatedAt}`.
 */
export class FunctionStore {
	readonly #directory: string;
	readonly #deposit: Deposit;

	private constructor(directory: string, deposit: Deposit) {
		this.#directory = directory;
		this.#deposit = deposit;
	}

	static async open(directory: string, deposit: Deposit): Promise<FunctionStore> {
		await deposit.directory(directory);
		return new FunctionStore(directory, deposit);
	}

	/** Durable when it resolves; writes nothing when it is there as it is. */
	async put(summary: FunctionSummary): Promise<void> {
		const path = this.#pathOf(summary.project, summary.name);
		const text = `${JSON.stringify({ shape: SHAPE, ...summary })}\n`;
		if ((await textOf(path)) === text) return;
		await this.#deposit.directory(join(this.#directory, summary.project));
		await this.#deposit.write(path, Buffer.from(text));
	}

	/** All there are, in no order. @throws BerthError platform_error naming a file that isn't ours to read */
	async list(): Promise<readonly FunctionSummary[]> {
		const projects = (await readdir(this.#directory)).filter((project) => NAME_PATTERN.test(project));
		const paths = await Promise.all(
			projects.map(async (project) => {
				const files = await readdir(join(this.#directory, project));
				return files.filter((file) => file.endsWith(SUFFIX)).map((file) => join(this.#directory, project, file));
			}),
		);
		const read = await Promise.all(paths.flat().map(summaryAt));
		return read.filter((summary) => summary !== undefined);
	}

	/** Idempotent. */
	async remove(project: string, name: string): Promise<void> {
		await rm(this.#pathOf(project, name), { force: true });
	}

	/** Names of projects and functions have no character that a path could mean something by. */
	#pathOf(project: string, name: string): string {
		for (const part of [project, name]) {
			if (!NAME_PATTERN.test(part)) throw new BerthError("platform_error", `${JSON.stringify(part)} is no name of a function or project.`);
		}
		return join(this.#directory, project, `${name}${SUFFIX}`);
	}
}

/** Undefined when it was removed meanwhile. */
async function summaryAt(path: string): Promise<FunctionSummary | undefined> {
	const text = await textOf(path);
	if (text === undefined) return undefined;
	try {
		const { shape, ...summary } = JSON.parse(text) as FunctionSummary & { readonly shape: number };
		if (shape === SHAPE) return summary;
	} catch (cause) {
		throw new BerthError("platform_error", `${path} can't be read; move it away to go on without it.`, { cause });
	}
	throw new BerthError("platform_error", `${path} was written by another Berth; move it away to go on without it.`);
}

async function textOf(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}
