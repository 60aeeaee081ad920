import { isIPv4 } from "node:net";
import * as z from "zod";
import { MIB } from "./units.js";

/** What a sandbox with `network: {allow}` may have of the world outside. */
export const EGRESS_LIMITS = {
	/** Entries of the list. */
	hosts: 64,
	/** Connections that a sandbox has open at the same time. */
	connections: 64,
	/** The same of all sandboxes of a project on a node: a quarter of what the node has. */
	projectConnections: 1024,
	/** Connections that a sandbox may open a second, in the long run and at once. */
	openingsPerSecond: 100,
	openingsAtOnce: 200,
	/** Bytes of one invocation, both ways together. */
	bytes: 1024 * MIB,
	/** Lines of an invocation's log about what was refused: each host once. */
	lines: 20,
	/** How long a connection may rest, milliseconds. */
	idleMs: 300_000,
} as const;

/** Ports of entries that name none. Nothing but TLS and HTTP is spoken there. */
export const WEB_PORTS: readonly number[] = [80, 443];

const ENTRY =
	"a host as in api.example.com, *.example.org (every name below that one) or 8.8.8.8, with a port if it isn't 80 or 443: db.example.com:5432";
const HOST =
	/^(?=.{1,253}(?::|$))(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::\d{1,5})?$/;

/** `network.allow`: hosts that a function may reach. */
export const egressHosts = z
	.array(z.string(ENTRY).toLowerCase().refine(isEntry, ENTRY), "a list of hosts")
	.min(1, "at least one host; `none` is a network without any")
	.refine((hosts) => hosts.length <= EGRESS_LIMITS.hosts, `at most ${EGRESS_LIMITS.hosts} hosts`);

/**
 * Whether a list allows a host, a name or an address of IPv4.
 * @param port undefined: on any port at all
 */
export function allowsEgress(allow: readonly string[], host: string, port?: number): boolean {
	return allow.some((entry) => {
		const [pattern = "", own] = entry.split(":");
		const isHost = pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) && !isIPv4(host) : host === pattern;
		return isHost && (port === undefined || (own === undefined ? WEB_PORTS.includes(port) : Number(own) === port));
	});
}

function isEntry(entry: string): boolean {
	const [host = "", port = "443"] = entry.split(":");
	const isNumeric = /\.\d+$/.test(host);
	return HOST.test(entry) && (!isNumeric || isIPv4(host)) && Number(port) > 0 && Number(port) < 65_536;
}
