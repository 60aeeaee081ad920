import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageLabels, storeImage } from "@berth/builder";
import { MIB } from "@berth/contracts";
import { Repository } from "@berth/distribution";
import { openArtifactStore } from "@berth/registry";
import { expect, test } from "vitest";
import { ready } from "../testing/versions.js";
import { pushImage } from "./push.js";
import type { Progress } from "./transfers.js";

/** A registry that has what it was sent, and notes how much came. */
async function registry() {
	const kept = new Set<string>();
	const server = createServer(async (request, response) => {
		const { pathname, searchParams } = new URL(request.url ?? "", "http://registry");
		request.resume();
		await once(request, "end");
		const digest = searchParams.get("digest") ?? pathname.split("/").at(-1) ?? "";
		if (request.method === "HEAD") response.writeHead(kept.has(digest) ? 200 : 404).end();
		else if (request.method === "POST") response.writeHead(202, { location: `${pathname}1` }).end();
		else response.writeHead(kept.add(digest) && 201).end();
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	return { host, [Symbol.dispose]: () => void server.close() };
}

const sum = (sizes: readonly number[]) => sizes.reduce((total, bytes) => total + bytes, 0);

test("the source is sent piece by piece, and counted as the blobs are; where the registry has it nothing of it is", async () => {
	using to = await registry();
	const directory = await mkdtemp(join(tmpdir(), "push-"));
	try {
		const artifacts = await openArtifactStore(directory);
		const archive = Buffer.alloc(3 * MIB, "s");
		const source = { digest: await artifacts.sources.put(archive), kind: "tar.gz", sizeBytes: archive.length } as const;
		const layers = await Promise.all(["base", "code"].map((text) => artifacts.images.putBlob(Buffer.from(text))));
		const base = {
			digest: `sha256:${createHash("sha256")
				.update(layers[0]?.digest ?? "")
				.digest("hex")}`,
			layers: [],
		} as const;
		const labels = imageLabels({ ...ready("hello"), source }, base, "index.mjs", { sealAlike: (text) => text });
		const { digest } = await storeImage(artifacts.images, layers, labels);
		const target = { repository: new Repository({ host: to.host, origin: `http://${to.host}` }, "team/hello", "push"), host: to.host };
		const pushed = async (reference: string) => {
			const sizes: number[] = [];
			const moved: number[] = [];
			const progress: Progress = {
				begin: ({ totalBytes }) => void sizes.push(totalBytes),
				present: (bytes) => void sizes.push(-bytes),
				moved: (bytes) => void moved.push(bytes),
			};
			await pushImage(digest, { ...target, name: "team/hello", reference }, artifacts, progress, true);
			return { totalBytes: sum(sizes), moved };
		};
		const { totalBytes, moved } = await pushed("1");
		expect(totalBytes).toBeGreaterThan(archive.length);
		expect(sum(moved)).toBe(totalBytes);
		expect(Math.max(...moved)).toBeLessThan(MIB);
		expect(await pushed("2")).toEqual({ totalBytes: 0, moved: [] });
	} finally {
		await rm(directory, { recursive: true });
	}
});
