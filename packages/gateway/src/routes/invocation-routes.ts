import type { Request, Response } from "express";
import type { Invocations } from "../invocations.js";
import type { Route } from "../route.js";

/** What runs functions: the hottest first. */
export function invocationRoutes(invocations: Invocations): readonly Route[] {
	const http = (request: Request, response: Response) => invocations.http(request, response);
	return [
		{
			method: "post",
			path: "/v1/functions/{name}/invocations",
			summary:
				"Invoke a function: payload in, result out. `name@alias` and `name@version` mean another version than the live one. With `?mode=async` or `Prefer: respond-async`: 202 and a Location.",
			scope: "invoke",
			query: ["mode", "callbackUrl", "runAt"],
			answers: {
				200: "The result; one that is streamed has its outcome in the trailer Berth-Outcome, or breaks off",
				202: "Accepted; the record is at Location",
				204: "The handler returned nothing",
			},
			serve: (request, response) => invocations.event(request, response),
		},
		{
			method: "all",
			path: "/fn/{project}/{name}",
			summary: "Invoke a function as an HTTP endpoint. Without a key when its manifest says public.",
			scope: "public",
			answers: { 200: "What the function answers: its status, headers and body; streamed as it comes" },
			serve: http,
		},
		{
			method: "all",
			path: "/fn/{project}/{name}/{rest}",
			summary: "The same with a path of the function's own below.",
			scope: "public",
			answers: { 200: "What the function answers: its status, headers and body; streamed as it comes" },
			serve: http,
		},
	];
}
