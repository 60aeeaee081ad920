import { readFileSync } from "node:fs";
import { DOCKER_ADDRESSES, type NetworkBridges, type NetworkReport, type SandboxNetwork } from "@berth/contracts";
import { LABELS } from "./container-config.js";
import { type DockerApi, DockerError } from "./docker-api.js";

/** As many sandboxes as a bridge of Linux has ports, 1,023 (net/bridge/br_private.h, BR_MAX_PORTS), less its own. */
const PREFIX_LENGTH = 22;
const SIZE = 2 ** (32 - PREFIX_LENGTH);
const ROUTES = "/proc/net/route";

/**
 * The networks of this node in a Docker Engine, one for functions with `internet`, one for all that are on networks of functions, and
 * one for those that may reach some hosts: bridges, which this host's rules know by their names. The rules see to everything: who talks to whom, and that
 * what goes out is masqueraded; without them nothing gets far.
 */
export class DockerNetworks {
	readonly report: NetworkReport;
	readonly #api: DockerApi;
	readonly #node: string;

	private constructor(api: DockerApi, node: string, report: NetworkReport) {
		this.#api = api;
		this.#node = node;
		this.report = report;
	}

	/** Makes them, in the place of an earlier worker's. That they can't be had is in the report. @throws DockerError when the Engine can't be asked */
	static async open(api: DockerApi, node: string, host: NetworkReport): Promise<DockerNetworks> {
		const { gateway, bridges } = host;
		if (bridges === undefined) return new DockerNetworks(api, node, host);
		try {
			await removeNetworks(api, node);
			await makeNetwork(api, node, bridges.internet, "internet");
			await makeNetwork(api, node, bridges.join, "join");
			await makeNetwork(api, node, bridges.allow, "allow");
			return new DockerNetworks(api, node, host);
		} catch (error) {
			if (error instanceof DockerError && error.status === 0) throw error;
			return new DockerNetworks(api, node, { gateway, missing: (error as Error).message });
		}
	}

	/** What a container of a function is started on. @throws Error when there is no such network */
	modeOf(choice: SandboxNetwork): string {
		if (choice === "none" || choice === "host") return choice;
		const { bridges, missing } = this.report;
		if (bridges === undefined) throw new Error(`functions can be given no networks: ${missing}`);
		return nameOf(bridges[typeof choice === "object" ? "join" : choice]);
	}

	/** When there is no container of ours any more. @throws DockerError */
	async remove(): Promise<void> {
		await removeNetworks(this.#api, this.#node);
	}
}

/** Of every kind, by whose they are. @throws DockerError when one is used by somebody else's container */
export async function removeNetworks(api: DockerApi, node: string): Promise<void> {
	const filters = JSON.stringify({ label: [`${LABELS.node}=${node}`] });
	for (const { Id } of await api.ask<readonly { readonly Id: string }[]>("/networks", { query: { filters } })) {
		const answer = await api.send(`/networks/${Id}`, { method: "DELETE", accept: [404] });
		answer.resume();
	}
}

function nameOf(bridge: string): string {
	return `berth-${bridge}`;
}

async function makeNetwork(api: DockerApi, node: string, bridge: string, kind: keyof NetworkBridges): Promise<void> {
	let refusal: unknown;
	for (const subnet of freeSubnets(Number.parseInt(bridge.slice(2, 10), 16))) {
		const json = {
			Name: nameOf(bridge),
			CheckDuplicate: true,
			Driver: "bridge",
			EnableIPv6: false,
			IPAM: { Driver: "default", Config: [{ Subnet: subnet }] },
			Options: {
				"com.docker.network.bridge.name": bridge,
				"com.docker.network.bridge.enable_icc": "false",
				"com.docker.network.bridge.enable_ip_masquerade": "false",
			},
			Labels: { [LABELS.node]: node, [LABELS.network]: kind },
		};
		try {
			await api.ask("/networks/create", { method: "POST", json });
			requireHere(bridge);
			return;
		} catch (error) {
			// Another network of the Engine's has these addresses.
			if (!(error instanceof DockerError) || error.status !== 403) throw error;
			refusal = error;
		}
	}
	throw refusal ?? new Error(`every part of ${DOCKER_ADDRESSES} is routed somewhere already (ip route)`);
}

/** An Engine that has a network namespace of its own (rootless, in a container) makes bridges that no rule of this host's sees. */
function requireHere(bridge: string): void {
	const devices = readFileSync("/proc/net/dev", "utf8").split("\n");
	if (!devices.some((line) => line.trimStart().startsWith(`${bridge}:`)))
		throw new Error("the Docker Engine makes its networks in another network namespace than Berth's, where nobody sets rules for them");
}

/** Parts of the addresses for networks of Docker Engines that this host has no routes to, in an order of the stack's own. */
function* freeSubnets(seed: number, routes = readFileSync(ROUTES, "utf8")): Generator<string> {
	const [base = "", length = ""] = DOCKER_ADDRESSES.split("/");
	const first = numberOf(base);
	const count = 2 ** (PREFIX_LENGTH - Number(length));
	const taken = routesIn(routes);
	for (let at = 0; at < count; at++) {
		const start = first + ((seed + at) % count) * SIZE;
		if (!taken.some(([from, to]) => from < start + SIZE && to >= start)) yield `${textOf(start)}/${PREFIX_LENGTH}`;
	}
}

/** First and last address of each route but the default one (proc(5): hexadecimal, as this processor has them in memory). */
function routesIn(text: string): readonly (readonly [number, number])[] {
	return text
		.trim()
		.split("\n")
		.slice(1)
		.map((line) => line.split("\t"))
		.map(([, destination = "0", , , , , , mask = "0"]) => [swapped(destination), swapped(mask)] as const)
		.filter(([, mask]) => mask !== 0)
		.map(([from, mask]) => [from, from + (2 ** 32 - 1 - mask)] as const);
}

function swapped(hex: string): number {
	return Buffer.from(hex, "hex").readUInt32LE();
}

function numberOf(address: string): number {
	return Buffer.from(address.split(".").map(Number)).readUInt32BE();
}

function textOf(address: number): string {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(address);
	return bytes.join(".");
}
