interface Push {
	readonly ref?: string;
	readonly repository?: { readonly full_name?: string };
	readonly commits?: readonly { readonly message: string }[];
}

/**
 * What GitHub delivers over a hook (`berth hooks create github-webhook --scheme github --mode sync`). The signature was checked
 * before this began, and a delivery that comes again doesn't come here. It isn't public: nothing but its hooks, and who has a key, reaches it.
 */
export default {
	async fetch(request: Request): Promise<Response> {
		const event = request.headers.get("x-github-event") ?? "none";
		if (request.headers.get("berth-hook") === null) return new Response("this function is for its hooks\n", { status: 403 });
		if (event !== "push") return Response.json({ ignored: event });
		const { ref = "", repository, commits = [] } = (await request.json()) as Push;
		console.log(`${commits.length} commits to ${ref} of ${repository?.full_name}`);
		return Response.json({ branch: ref.replace("refs/heads/", ""), commits: commits.length });
	},
};
