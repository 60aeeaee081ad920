import { BerthError, ERRORS, type ErrorCode } from "@berth/contracts";
import type { NodeAnswer, NodeQuestion } from "@berth/queue";
import { noWorker } from "./placement.js";
import type { Services } from "./services.js";

/** Every node has the images so far: there is one. @throws BerthError unavailable */
export function anyNode({ nodes }: Services): string {
	const [node] = nodes.nodes();
	if (node === undefined) throw new BerthError("unavailable", noWorker(nodes));
	return node.id;
}

/** @throws BerthError with the code of a refusal, or unavailable */
export async function askNode(node: string, question: NodeQuestion, { nodes }: Services, timeoutMs: number): Promise<NodeAnswer> {
	const answer = await nodes.ask(node, question, timeoutMs);
	if (answer.kind === "refused") throw new BerthError(answer.code in ERRORS ? (answer.code as ErrorCode) : "platform_error", answer.detail);
	return answer;
}
