import type { Request, Response } from "express";
import type { Invocations } from "../invocations.js";
import { getInvocation } from "../records.js";
import type { Route } from "../route.js";

/** What runs functions, and what is known of it afterwards: the hottest first. */
export function invocationRoutes(invocations: Invocations): readonly Route[] {
	const http = (request: Request, response: Response) => invocations.http(request, response);
	return [
		{
			method: "post",
			path: "/v1/functions/{name}/invocations",
			summary:
				"Invoke a function: payload in, result out. `name@alias` and `name@version` mean another version than the live one. With `Prefer: respond-async`: 202 and a Location.",
			key: true,
			query: ["callbackUrl"],
			answers: { 200: "The result", 202: "Accepted; the record is at Location", 204: "The handler returned nothing" },
			serve: (request, response) => invocations.event(request, response),
		},
		{
			method: "all",
			path: "/fn/{project}/{name}",
			summary: "Invoke a function as an HTTP endpoint. Without a key when its manifest says public.",
			key: false,
			answers: { 200: "What the function answers: its status, headers and body" },
			serve: http,
		},
		{
			method: "all",
			path: "/fn/{project}/{name}/{rest}",
			summary: "The same with a path of the function's own below.",
			key: false,
			answers: { 200: "What the function answers: its status, headers and body" },
			serve: http,
		},
		{
			method: "get",
			path: "/v1/invocations/{id}",
			summary: "The record of an invocation",
			key: true,
			answers: { 200: "InvocationAnswer" },
			serve: getInvocation,
		},
	];
}
