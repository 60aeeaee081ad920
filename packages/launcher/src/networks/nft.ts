import { execFileSync } from "node:child_process";

/** Where distributions keep it. */
const PATH = "/usr/sbin:/sbin:/usr/bin:/bin";

/** nft(8) of the distribution with rules on its standard input. @throws Error with its first line */
export function runNft(args: readonly string[], rules = ""): string {
	try {
		return execFileSync("nft", [...args], { env: { PATH }, input: rules, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
	} catch (error) {
		const { code, stderr } = error as NodeJS.ErrnoException & { readonly stderr?: string };
		if (code === "ENOENT") throw new Error("the program nft isn't installed: apt-get install nftables");
		throw new Error(`nft: ${stderr?.trim().split("\n")[0] || (error as Error).message}`);
	}
}
