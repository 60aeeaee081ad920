import type { InvokeAnswer, InvokeOptions } from "@berth/client";
import type { InvocationAnswer } from "@berth/contracts";
import type { Deployed, DeployInput } from "../../harness/functions.js";
import type { Stack } from "../../harness/stack.js";
import type { LIST } from "./list.js";

/** What may run a function: an engine with its OCI runtime, or a runtime class. */
export const COLUMNS = ["oci/crun", "oci/runc", "docker", "runsc"] as const;
export type Column = (typeof COLUMNS)[number];

/** The file that tries the attacks in a column, from the root of the project. */
export const COLUMN_FILES: Readonly<Record<Column, string>> = {
	"oci/crun": "test/security/matrix/crun.test.ts",
	"oci/runc": "test/security/matrix/runc.test.ts",
	docker: "test/security/matrix/docker.test.ts",
	runsc: "test/security/matrix/runsc.test.ts",
};

/** Why an attack isn't tried in a column. */
export const REASONS = {
	"before any sandbox": "It is over before a sandbox is asked for: no engine has a part in it.",
	"no effect under gVisor": "There is nothing of the host to reach: gVisor's own kernel answers, and has no such thing of the host's.",
	"builds by the node": "Builds run in sandboxes of the node's engine, whatever runtime class the function has.",
	"the same sandbox":
		"It is decided in the same build sandbox, whose walls are tried in this column with functions: one engine shows what is in it.",
} as const;
export type Reason = keyof typeof REASONS;

/** What holds an attack: taken away alone, the attack gets through and its test fails. */
export type Protection =
	| "address of its own"
	| "agent's frames are checked"
	| "capabilities"
	| "cgroup cpu"
	| "cgroup memory"
	| "cgroup pids"
	| "deadline"
	| "devices"
	| "freezer"
	| "ipc namespace"
	| "log cap"
	| "masked paths"
	| "mount namespace"
	| "network namespace"
	| "no_new_privs"
	| "one version to a sandbox"
	| "pid namespace"
	| "read-only root"
	| "read-only /proc"
	| "response cap"
	| "rlimits"
	| "seccomp"
	| "strays retire a sandbox"
	| "stream cap"
	| "tmpfs inodes"
	| "tmpfs size"
	| "uid range"
	| "user namespace"
	| "archive rules"
	| "build sandbox"
	| "build's limits"
	| "integrity"
	| "gateway's checks"
	| "gateway's limits"
	| "keys and projects"
	| "registry's transactions"
	| "signature check"
	| "delivery is known";

/** An attack that is deployed as a function and invoked, in every column that isn't excepted. */
export interface Tried {
	readonly heldBy: readonly Protection[];
	/** Its source in test/fixtures/attacks; attacks with the same manifest share a function, which has them all. */
	readonly fixture: string;
	readonly manifest?: Manifest;
	/** It is a function of its own: what it leaves behind would be in the way of others, or it acts when it is loaded. */
	readonly alone?: true;
	readonly except?: Partial<Readonly<Record<Column, Reason>>>;
	/** Fails when the attack got through; without it, everything that it tried must have been refused, and the host be as it was. */
	readonly isContained?: (attacker: Attacker) => Promise<void>;
}

/** One that something else tries already, once for all columns. */
export interface TriedElsewhere {
	readonly heldBy: readonly Protection[];
	readonly tests: readonly NamedTest[];
	/** Why no other column than the first tries it. */
	readonly because: Reason;
}

export interface NamedTest {
	readonly file: string;
	readonly title: string;
}

export type Attack = Tried | TriedElsewhere;
export type Group = keyof typeof LIST;
/** A row for everything on the list of a group. */
export type Rows<G extends Group> = Readonly<Record<keyof (typeof LIST)[G], Attack>>;

export type Manifest = Omit<DeployInput, "name" | "source" | "runtime" | "runtimeClass">;

/** An attempt, as its caller and the operator see it. */
export interface Attempt {
	readonly answer: InvokeAnswer;
	readonly record: InvocationAnswer;
}

/** What an attack is tried with: its function, in one column. */
export interface Attacker {
	readonly stack: Stack;
	readonly column: Column;
	/** Occurs in what it tries to leave, and nowhere else on this machine. */
	readonly mark: string;
	readonly deployed: Deployed;
	/** The function has other attacks, too: this says which one is meant. */
	attack(ask?: object, options?: InvokeOptions): Promise<Attempt>;
	/** The same where it has to succeed. @returns what it says */
	report<T = Readonly<Record<string, unknown>>>(ask?: object): Promise<T>;
	/** The next invocation of it answers: whatever it did was to its own sandbox. */
	servesOn(): Promise<void>;
	/** Another function of the column's, which it shares nothing with. */
	neighbour(): Promise<Deployed>;
	/** The same source as another function: what it sees is another tenant's. */
	other(): Promise<Attacker>;
	/** Nothing of that sandbox runs on the host. */
	isGone(sandbox: string | undefined): Promise<void>;
}
