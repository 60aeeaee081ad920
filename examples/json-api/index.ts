import { type Note, notes } from "./notes.js";

type Handler = (request: Request, id: string) => Response | Promise<Response>;

/** `METHOD /notes` and `METHOD /notes/{id}`. */
const ROUTES: Readonly<Record<string, Handler>> = {
	"GET /notes": () => Response.json({ notes: notes.all() }),
	"POST /notes": async (request) => {
		const text = await textOf(request);
		return text === undefined ? problem(400, "a JSON object with a `text` is wanted") : Response.json(notes.add(text), { status: 201 });
	},
	"GET /notes/{id}": (_, id) => found(notes.get(id), (note) => Response.json(note)),
	"DELETE /notes/{id}": (_, id) => found(notes.remove(id), () => new Response(null, { status: 204 })),
};

export default {
	fetch(request: Request): Response | Promise<Response> {
		const [, resource, id, ...rest] = new URL(request.url).pathname.split("/");
		const route = `/${resource}${id === undefined || id === "" ? "" : "/{id}"}`;
		const handler = rest.length === 0 ? ROUTES[`${request.method} ${route}`] : undefined;
		return handler === undefined ? problem(404, `there is no ${request.method} ${route}`) : handler(request, id ?? "");
	},
};

function found(note: Note | undefined, answer: (note: Note) => Response): Response {
	return note === undefined ? problem(404, "there is no such note") : answer(note);
}

async function textOf(request: Request): Promise<string | undefined> {
	const body: unknown = await request.json().catch(() => undefined);
	const text = (body as { text?: unknown } | undefined)?.text;
	return typeof text === "string" ? text : undefined;
}

function problem(status: number, detail: string): Response {
	return Response.json({ status, detail }, { status, headers: { "content-type": "application/problem+json" } });
}
