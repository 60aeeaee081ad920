import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CONTENT_TYPES, type Digest, MIB } from "@berth/contracts";
import { expect, test } from "vitest";
import { Repository } from "./repository.js";
import { silentMsOf } from "./silence.js";

const [mediaType] = CONTENT_TYPES.manifest;
const bytes = Buffer.from("{}");
const digest: Digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Asks a registry that fails so often whether it has a blob. @returns how often it was asked, and what became of it */
async function asked(failures: number, status: number) {
	let times = 0;
	const server = createServer((_, response) => void response.writeHead(++times > failures ? 200 : status).end());
	await once(server.listen(0, "127.0.0.1"), "listening");
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	try {
		const [answer] = await Promise.allSettled([new Repository({ host, origin: `http://${host}` }, "berth", "push").hasBlob(digest)]);
		return { times, ...answer };
	} finally {
		server.close();
	}
}

test("a registry that fails for a moment at whether it has a blob is asked again, four times at most; one that refuses isn't", async () => {
	expect(await asked(4, 500)).toMatchObject({ times: 5, value: true });
	const reason = { code: "registry_failed", message: expect.stringContaining("answered 500 to whether it has the blob") };
	expect(await asked(5, 500)).toMatchObject({ times: 5, reason });
	expect(await asked(1, 400)).toMatchObject({ times: 1, reason: { code: "registry_failed" } });
});

/** Pushes to a registry that refuses a manifest so often, as no real one does at will. @returns how often it was sent, and what became of it */
async function pushed(refusals: number, code: string) {
	let sent = 0;
	const server = createServer((request, response) => {
		request.resume();
		if (request.method !== "PUT") response.writeHead(404).end();
		else if (++sent > refusals) response.writeHead(201).end();
		else response.writeHead(400).end(JSON.stringify({ errors: [{ code, message: "of a blob" }] }));
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	try {
		const [push] = await Promise.allSettled([
			new Repository({ host, origin: `http://${host}` }, "berth", "push").putManifest("1", { bytes, digest, mediaType }),
		]);
		return { sent, ...push };
	} finally {
		server.close();
	}
}

test("a manifest whose blobs the registry doesn't know for a moment is sent again, four times at most", async () => {
	expect(await pushed(1, "MANIFEST_BLOB_UNKNOWN")).toMatchObject({ sent: 2, status: "fulfilled" });
	expect(await pushed(4, "MANIFEST_BLOB_UNKNOWN")).toMatchObject({ sent: 5, status: "fulfilled" });
	const reason = { code: "registry_failed", message: expect.stringContaining("MANIFEST_BLOB_UNKNOWN: of a blob") };
	expect(await pushed(5, "MANIFEST_BLOB_UNKNOWN")).toMatchObject({ sent: 5, status: "rejected", reason });
});

test("a manifest that is refused for anything else is sent once", async () => {
	expect(await pushed(1, "MANIFEST_INVALID")).toMatchObject({ sent: 1, status: "rejected", reason: { code: "registry_failed" } });
});

// Both wait for as long.
test.concurrent("a registry that takes connections and says nothing is given up after 20 s, whatever it is asked or sent, and told by its silence", async () => {
	const server = createServer((request) => void request.resume());
	await once(server.listen(0, "127.0.0.1"), "listening");
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	const repository = new Repository({ host, origin: `http://${host}` }, "berth", "push");
	try {
		const asked = await Promise.allSettled([
			repository.hasBlob(digest),
			repository.readManifest("1"),
			repository.tryPush(),
			repository.putBlob({ digest, size: 2 }, async function* () {}, undefined),
			repository.putManifest("1", { bytes, digest, mediaType }),
		]);
		const message = expect.stringMatching(new RegExp(`^${host} takes connections and said nothing for 20 s when it was asked for `));
		expect(asked).toEqual(asked.map(() => ({ status: "rejected", reason: expect.objectContaining({ code: "registry_failed", message }) })));
	} finally {
		server.closeAllConnections();
		server.close();
	}
}, 40_000);

/** How a registry begins to answer before it says nothing, on the way to a repository's name. */
const BEGUN: Readonly<Record<string, (response: ServerResponse, host: string) => void>> = {
	headers: (response) => void response.writeHead(200, { "content-type": mediaType, "content-length": "2" }).flushHeaders(),
	half: (response) => void response.writeHead(200, { "content-type": mediaType, "content-length": "2" }).write("{"),
	failure: (response) => void response.writeHead(500, { "content-length": "2" }).write("{"),
	login: (response, host) => {
		if (response.req.url?.startsWith("/token")) response.writeHead(200, { "content-length": "2" }).write("{");
		else response.writeHead(401, { "www-authenticate": `Bearer realm="http://${host}/token"` }).end();
	},
};

test.concurrent("one that begins to answer and says no more is, too, and told by what was asked", async () => {
	const server = createServer((request, response) => {
		request.resume();
		BEGUN[request.url?.split("/")[2] ?? "login"]?.(response, host);
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	const repositoryOf = (name: string) => new Repository({ host, origin: `http://${host}` }, name, "push");
	try {
		const asked = await Promise.allSettled([
			...["headers", "half", "failure", "login"].map((name) => repositoryOf(name).readManifest("1")),
			...["headers", "half", "failure"].map((name) => repositoryOf(name).readDocument({ digest, size: 2 })),
			...["half", "failure"].map((name) => repositoryOf(name).tryPush()),
			...["half", "failure"].map((name) => repositoryOf(name).putManifest("1", { bytes, digest, mediaType })),
		]);
		const said = new RegExp(
			`^${host} broke off after [01] bytes: it takes connections and said nothing for 20 s when it was asked for (the|an|a token)`,
		);
		const reason = expect.objectContaining({ code: "registry_failed", message: expect.stringMatching(said) });
		expect(asked).toEqual(asked.map(() => ({ status: "rejected", reason })));
	} finally {
		server.closeAllConnections();
		server.close();
	}
}, 40_000);

test("what it is sent it may take a second a MiB to store before it answers, two minutes at most", () => {
	expect([0, MIB - 1, 30 * MIB, 4096 * MIB].map(silentMsOf)).toEqual([20_000, 20_000, 50_000, 120_000]);
});
