import { BerthError } from "@berth/contracts";
import type { Request, Response } from "express";
import type { Services } from "./services.js";

/** `GET /livez`: the process answers. */
export function livez(_request: Request, response: Response): void {
	response.type("text/plain").send("ok\n");
}

/** `GET /readyz`: an invocation would be accepted: both Redis servers answer and a worker is registered. */
export async function readyz(_request: Request, response: Response, { functions, invocations, nodes }: Services): Promise<void> {
	await functions.ping();
	await invocations.depth();
	if (nodes.nodes().length === 0) throw new BerthError("unavailable", "no worker is registered yet");
	response.type("text/plain").send("ok\n");
}

/** `GET /metrics`: the gateway's own, and those of the workers that answer. */
export async function metrics(_request: Request, response: Response, services: Services): Promise<void> {
	await measureQueues(services);
	const own = await services.metrics.registry.metrics();
	const asked = services.nodes.nodes().map(async ({ id }) => {
		const answer = await services.nodes.ask(id, { kind: "metrics" });
		return answer.kind === "metrics" ? withNode(answer.text, id) : "";
	});
	const texts = (await Promise.allSettled(asked)).map((result) => (result.status === "fulfilled" ? result.value : ""));
	response.type(services.metrics.registry.contentType).send(merged([own, ...texts]));
}

async function measureQueues({ invocations, metrics: own }: Services): Promise<void> {
	for (const [lane, { waiting, active, oldestMs }] of Object.entries(await invocations.depth())) {
		own.depth.set({ lane, state: "waiting" }, waiting);
		own.depth.set({ lane, state: "active" }, active);
		own.oldest.set({ lane }, oldestMs / 1000);
	}
}

/** A worker's samples, labelled with its node. */
function withNode(text: string, node: string): string {
	return text.replace(
		/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? /gm,
		(_line, name: string, labels?: string) => `${name}{${labels ? `${labels},` : ""}node="${node}"} `,
	);
}

/** One exposition of several: what is said about a metric is said once, its samples stand together. */
function merged(texts: readonly string[]): string {
	const families = new Map<string, { readonly about: Set<string>; readonly samples: string[] }>();
	for (const text of texts) {
		let current: { readonly about: Set<string>; readonly samples: string[] } | undefined;
		for (const line of text.split("\n")) {
			const name = /^# (?:HELP|TYPE) (\S+)/.exec(line)?.[1];
			if (name !== undefined) {
				current = families.get(name) ?? { about: new Set(), samples: [] };
				families.set(name, current);
				if (![...current.about].some((known) => known.slice(0, 7) === line.slice(0, 7))) current.about.add(line);
			} else if (line !== "") current?.samples.push(line);
		}
	}
	return `${[...families.values()].flatMap(({ about, samples }) => [...about, ...samples]).join("\n")}\n`;
}
