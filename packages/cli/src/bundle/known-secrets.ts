import { readFile } from "node:fs/promises";
import { type Settings, secretsIn } from "@berth/config";

/** Secrets of this machine that are known by themselves: its keys, and passwords of its settings. Read to be left out. */
export async function knownSecrets(settings: Settings, ...given: readonly (string | undefined)[]): Promise<readonly string[]> {
	const { paths, tls } = settings;
	const files = [paths.adminKey, paths.secretsKey, ...(tls === undefined ? [] : [tls.key])];
	// A file that can't be read here can't have come into the bundle from here either.
	const texts = await Promise.all(files.map((path) => readFile(path, "utf8").catch(() => "")));
	const lines = texts.flatMap((text) => text.split(/[\n,]/)).map((line) => line.trim());
	const secrets = lines.filter((line) => line !== "" && !line.startsWith("-----"));
	return [...secrets, ...secretsIn(settings), ...given.filter((value) => value !== undefined)];
}
