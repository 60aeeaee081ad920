// Writes infra/seccomp/berth.json: the filter of a sandbox's system calls on x64, as it stands in packages/sandbox/src/seccomp.ts
// (build first). A test holds the two against each other.
import { writeFileSync } from "node:fs";
import { seccompProfile } from "../packages/sandbox/dist/seccomp.js";

const path = new URL("../infra/seccomp/berth.json", import.meta.url);
writeFileSync(path, `${JSON.stringify(seccompProfile("x64"), null, "\t")}\n`);
