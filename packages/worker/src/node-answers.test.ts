import { tmpdir } from "node:os";
import { BerthError, MIB } from "@berth/contracts";
import { expect, test } from "vitest";
import { NodeAnswers, type NodeAnswersOptions } from "./node-answers.js";

/** A node whose volumes may have 8 MiB together. @param launcher makes the volume, or says why it doesn't */
function makeVolume(sizeMiB: number, launcher: () => Promise<boolean>) {
	const engine = { makeVolume: launcher, removeVolume: async () => undefined };
	const volumes = { bytes: 8 * MIB, directory: tmpdir() };
	const answers = new NodeAnswers({ node: "node_volumes", engine, volumes } as unknown as NodeAnswersOptions);
	return answers.answer({ kind: "makeVolume", volume: "vol_1", sizeMiB });
}

const full = async () => {
	throw new BerthError("storage_full", "this node has no space left");
};

test("a volume that is there stays, also where its size wouldn't be had any more", async () => {
	expect(await makeVolume(9, async () => false)).toEqual({ kind: "done", affected: 0 });
});

test("a volume for which there is no space is refused for good only where it never fits", async () => {
	await expect(makeVolume(8, full)).rejects.toMatchObject({ code: "storage_full" });
	await expect(makeVolume(9, full)).rejects.toMatchObject({ code: "invalid_request", issues: [{ field: "sizeMiB" }] });
});
