import { BerthError, SECOND_MS } from "@berth/contracts";
import { BACKLOGS_TOLD } from "@berth/telemetry";
import type { Request, Response } from "express";
import { merged, withNode } from "./exposition.js";
import { openOf } from "./node-readings.js";
import { noWorker } from "./placement.js";
import type { Services } from "./services.js";

/** How long a node may take to say its metrics, milliseconds: well within a scrape's 10 s. */
const NODE_MS = 3 * SECOND_MS;

/** `GET /livez`: the process answers. */
export function livez(_request: Request, response: Response): void {
	response.type("text/plain").send("ok\n");
}

/** `GET /readyz`: an invocation would be accepted, and later ones, too: both Redis servers answer, the fast one takes writes, a worker is registered, and this gateway stays. */
export async function readyz(_request: Request, response: Response, { functions, invocations, nodes, leaving }: Services): Promise<void> {
	if (leaving.aborted) throw new BerthError("unavailable", "this gateway is about to stop: it serves yet, and is to be sent nothing more");
	const servers = await Promise.allSettled([functions.ping(), invocations.tryFast()]);
	const away = servers.filter((server) => server.status === "rejected").map(({ reason }) => reason as BerthError);
	if (away.length > 0) throw new BerthError("unavailable", away.map(({ message }) => message).join(" "), { cause: away[0] });
	if (openOf(nodes.nodes()).length === 0) throw new BerthError("unavailable", noWorker(nodes));
	response.type("text/plain").send("ok\n");
}

/** `GET /metrics`: the gateway's own, and those of the workers that answer. Also while Redis is away: then it says so. */
export async function metrics(_request: Request, response: Response, services: Services): Promise<void> {
	await measureQueues(services);
	measureStores(services);
	const texts = await Promise.all(services.nodes.nodes().map(async ({ id }) => [id, await metricsOf(id, services)] as const));
	services.metrics.nodes(new Map(texts.map(([id, text]) => [id, text !== undefined])));
	const own = await services.metrics.registry.metrics();
	response.type(services.metrics.registry.contentType).send(merged([own, ...texts.map(([, text]) => text ?? "")]));
}

/** A worker's metrics, labelled with its node; undefined when it doesn't say them. */
async function metricsOf(node: string, { nodes, log }: Services): Promise<string | undefined> {
	try {
		const answer = await nodes.ask(node, { kind: "metrics" }, NODE_MS);
		return answer.kind === "metrics" ? withNode(answer.text, node) : undefined;
	} catch (err) {
		log.warn({ err, node }, "a node doesn't say its metrics");
		return undefined;
	}
}

function measureStores({ artifacts, metrics: own }: Services): void {
	for (const store of ["queued", "requests", "results", "logs", "deliveries"] as const) {
		const { figures } = artifacts[store];
		if (figures !== undefined) own.payloads(store, figures);
	}
}

async function measureQueues({ invocations, metrics: own, log }: Services): Promise<void> {
	own.lane("interactive", invocations.interactiveTotals());
	try {
		const [depths, background, { longest, others }, memory] = await Promise.all([
			invocations.depth(),
			invocations.backgroundTotals(),
			invocations.backlogs(BACKLOGS_TOLD),
			invocations.durableMemory(),
		]);
		for (const lane of ["interactive", "background", "builds"] as const) own.queue(lane, depths[lane]);
		own.lane("background", background);
		own.backlogs(longest, others);
		own.durableMemory(memory);
		own.redis(true);
	} catch (err) {
		log.warn({ err }, "the queues couldn't be measured");
		own.redis(false);
	}
}
