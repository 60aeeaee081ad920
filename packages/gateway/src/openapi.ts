import { ERRORS, FIXED_LIMITS, RELEASE } from "@berth/contracts";
import * as z from "zod";
import type { Route } from "./route.js";

const METHODS = ["get", "put", "post", "delete", "patch", "head", "options"] as const;

/** The OpenAPI 3.1 document, made from the routes and the schemas that requests are checked with. */
export function openApiDocument(routes: readonly Route[]): object {
	const paths: Record<string, Record<string, object>> = {};
	for (const route of routes) {
		paths[route.path] ??= {};
		const operations = paths[route.path] as Record<string, object>;
		const methods = route.method === "all" ? METHODS : [route.method];
		for (const method of methods) operations[method] = operationOf(route);
	}
	return {
		openapi: "3.1.0",
		info: {
			title: "Berth",
			version: RELEASE,
			description: `Deploy functions and invoke them. Bodies that are whole may have ${FIXED_LIMITS.bodyBytes} bytes, streamed ones what their function allows (streamMiB).`,
		},
		paths,
		components: {
			securitySchemes: { key: { type: "http", scheme: "bearer" } },
			schemas: { Problem: problemSchema() },
		},
	};
}

function operationOf(route: Route): object {
	const parameters = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
		name,
		in: "path",
		required: true,
		schema: { type: "string" },
	}));
	const queries = (route.query ?? []).map((name) => ({ name, in: "query", required: false, schema: { type: "string" } }));
	const answers = Object.fromEntries(Object.entries(route.answers).map(([status, description]) => [status, { description }]));
	const problem = {
		description: "A problem (RFC 9457)",
		content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
	};
	return {
		summary: route.summary,
		...securityOf(route),
		...(parameters.length + queries.length > 0 ? { parameters: [...parameters, ...queries] } : {}),
		...(route.body === undefined
			? {}
			: { requestBody: { content: { "application/json": { schema: z.toJSONSchema(route.body, { io: "input" }) } } } }),
		responses: { ...answers, default: problem },
	};
}

/** The scope stands where OpenAPI 3.1 has the roles that are needed. */
function securityOf({ scope }: Route): object {
	if (scope === "none") return {};
	return { security: scope === "public" ? [{}, { key: ["invoke"] }] : [{ key: [scope] }] };
}

function problemSchema(): object {
	const text = { type: "string" };
	return {
		type: "object",
		required: ["type", "title", "status", "detail", "code", "fault", "retryable"],
		properties: {
			type: text,
			title: text,
			status: { type: "integer" },
			detail: text,
			code: { enum: Object.keys(ERRORS) },
			fault: { enum: ["caller", "function", "platform"] },
			retryable: { type: "boolean" },
			issues: { type: "array", items: { type: "object", properties: { field: text, message: text } } },
		},
	};
}
