import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, writeFileSync } from "node:fs";
import { UID_RANGE } from "@berth/sandbox/spec";

/** Where distributions keep them. */
const PATH = "/usr/bin:/bin";

/**
 * A user namespace whose ids are a range of this host's, the first its root, without a process in it: it lasts as long as the
 * descriptor, or what was mounted by it. @returns the descriptor, which the caller closes
 */
export async function userNamespaceOf(uidBase: number): Promise<number> {
	const holder = spawn("unshare", ["--user", "cat"], { stdio: ["pipe", "pipe", "ignore"], env: { PATH } });
	const ended = once(holder, "close");
	try {
		holder.stdin.write(".");
		// It answers when it is in its namespace.
		const answered = await Promise.race([once(holder.stdout, "data"), ended.then(() => undefined)]);
		if (answered === undefined) throw new Error("a user namespace can't be made here (user_namespaces(7), max_user_namespaces)");
		for (const ids of ["uid", "gid"]) writeFileSync(`/proc/${holder.pid}/${ids}_map`, `0 ${uidBase} ${UID_RANGE}\n`);
		return openSync(`/proc/${holder.pid}/ns/user`, "r");
	} finally {
		holder.kill("SIGKILL");
		await ended;
	}
}
