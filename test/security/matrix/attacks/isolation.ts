import type { Rows } from "../attack.js";

export const isolation: Rows<"Isolation"> = {
	AF_ALG: { heldBy: ["seccomp"], fixture: "af-alg.py" },
};
