import { setTimeout as pause } from "node:timers/promises";
import {
	BerthError,
	type ImageList,
	type ImageSummary,
	NAME_PATTERN,
	parseImageName,
	pullSchema,
	pushSchema,
	type TransferRequest,
	type Version,
} from "@berth/contracts";
import type { NodeAnswer, NodeQuestion } from "@berth/queue";
import type { Request, Response } from "express";
import { anyNode, askNode } from "./ask-node.js";
import { sayAbout } from "./audit.js";
import { principalOf } from "./auth.js";
import { parseJson } from "./json.js";
import { nameFrom } from "./names.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";

const BODY_BYTES = 4096;
const BODY = { code: "invalid_request", whole: "body" } as const;
/** Longer than a node waits for news of a transfer, milliseconds. */
const NEWS_MS = 6000;
/** Reading every manifest of a large store takes its time, milliseconds. */
const RECOVERY_MS = 10 * 60_000;
/** How long an answer takes while the node of a transfer is away, milliseconds. */
const AWAY_MS = 1000;
const TRANSFER_ID = /^tr_[0-9a-z]{26}$/;

/** `GET /v1/images` */
export async function listImages(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	const images: ImageSummary[] = [];
	for (const { name } of await functions.listFunctions(project)) {
		// It may be deleted between the two.
		const versions = await functions.listVersions(project, name).catch((error: BerthError) => {
			if (error.code === "function_not_found") return [];
			throw error;
		});
		images.push(...versions.flatMap(summaryOf));
	}
	response.json({ images } satisfies ImageList);
}

/** `POST /v1/images/push` */
export async function push(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const { function: name, version, reference, source } = validate(pushSchema, await bodyOf(request, services), BODY);
	sayAbout(request, `${name} to ${reference}`);
	if (version === undefined) await services.functions.resolve(project, name);
	const options = { ...(version === undefined ? {} : { version }), ...(source === false ? { withoutSource: true } : {}) };
	await start({ kind: "push", project, function: name, reference, ...options }, response, services);
}

/** `POST /v1/images/pull` */
export async function pull(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const { reference, function: given } = validate(pullSchema, await bodyOf(request, services), BODY);
	sayAbout(request, reference);
	const last = parseImageName(reference)?.repository.split("/").at(-1) ?? "";
	if (given === undefined && !NAME_PATTERN.test(last))
		throw new BerthError("invalid_request", `${last} can't name a function: say in function which one it becomes a version of`, {
			issues: [{ field: "function", message: "is needed: the repository's last part can't name a function" }],
		});
	await services.functions.quotas.requireImageRoom(project);
	await start({ kind: "pull", project, function: nameFrom(given ?? last, "function"), reference }, response, services);
}

/** `GET /v1/images/transfers/{id}` */
export async function getTransfer(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const id = String(request.params["id"]);
	const after = afterFrom(request.query["after"]);
	const isId = TRANSFER_ID.test(id);
	const nodes = isId ? services.nodes.nodes() : [];
	// A node that is gone, or just started, knows nothing of it: the record does.
	const answers = await Promise.allSettled(nodes.map((node) => ask(node.id, { kind: "transfer", project, id, after }, services)));
	const told = answers.flatMap((answer) =>
		answer.status === "fulfilled" && answer.value.kind === "transfer" ? (answer.value.transfer ?? []) : [],
	)[0];
	const transfer = told ?? (isId ? await services.functions.transfers.get(project, id) : undefined);
	if (transfer === undefined)
		throw new BerthError("not_found", "there is no transfer of that id: it ended more than an hour ago, or never was");
	// Whoever asks again and again while its node is away does so seldom.
	if (told === undefined && transfer.state === "running") await pause(AWAY_MS);
	response.json(transfer);
}

/** `POST /v1/recover` */
export async function recover(_request: Request, response: Response, services: Services): Promise<void> {
	const answer = await ask(anyNode(services), { kind: "recover" }, services, RECOVERY_MS);
	if (answer.kind !== "recovery") throw new BerthError("platform_error", "The node gave another answer than was asked for.");
	response.json(answer.recovery);
}

function summaryOf({ function: name, number: version, image, createdAt }: Version): readonly ImageSummary[] {
	if (image === undefined) return [];
	const ownBytes = image.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
	const sizeBytes = image.base.layers.reduce((sum, layer) => sum + layer.sizeBytes, ownBytes);
	return [{ function: name, version, digest: image.digest, base: image.base.digest, sizeBytes, ownBytes, createdAt }];
}

async function bodyOf(request: Request, { bodies }: Services): Promise<unknown> {
	return parseJson(await bodies.read(request, BODY_BYTES), "the body");
}

async function start(request: TransferRequest, response: Response, services: Services): Promise<void> {
	const answer = await ask(anyNode(services), { kind: "startTransfer", request }, services);
	if (answer.kind !== "transfer" || answer.transfer === undefined)
		throw new BerthError("platform_error", "The node gave another answer than was asked for.");
	response.status(202).location(`/v1/images/transfers/${answer.transfer.id}`).json(answer.transfer);
}

function ask(node: string, question: NodeQuestion, services: Services, timeoutMs = NEWS_MS): Promise<NodeAnswer> {
	return askNode(node, question, services, timeoutMs);
}

function afterFrom(text: unknown): number {
	if (text === undefined) return 0;
	if (typeof text === "string" && /^\d{1,9}$/.test(text)) return Number(text);
	throw new BerthError("invalid_request", "after is the revision that is known already: a whole number");
}
