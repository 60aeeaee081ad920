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
	"gVisor's own devices":
		"gVisor's kernel has one of its own, which it serves itself; that nothing of the host is opened for it is its rule, and there is no such file in its root.",
	"gVisor maps what is noexec":
		"gVisor (20221219) maps files of a noexec mount as code. That takes no wall away: a function may make code in memory anyhow, and its calls reach gVisor's kernel alone.",
	"gVisor's own threads":
		"Threads under gVisor are its kernel's, not tasks of the host's: 300 were started where the host's cap is 256 tasks, and it wasn't met. What they take is memory, whose limit is tried; processes meet the cap.",
	"no network beside a class":
		"With a runtime class a network is refused at the deploy, and a secret for a host with it: there is no way out that would put it in.",
	"builds by the node's own engine":
		"Builds run in sandboxes of the node's engine, which are given no secret by whatever engine: what they are sent is the same.",
	"the way out is the worker's":
		"What puts a secret into requests is the worker's own process, outside of every sandbox and the same for all engines, and is tried byte by byte; that sandboxes of both engines are led to it is tried in test/functional/injection.ts.",
	"builds by the node": "Builds run in sandboxes of the node's engine, whatever runtime class the function has.",
	"the same sandbox":
		"It is decided in the same build sandbox, whose walls are tried in this column with functions: one engine shows what is in it.",
} as const;
export type Reason = keyof typeof REASONS;

/** What holds an attack. */
export type Protection =
	| "scratch of its own"
	| "noexec scratch"
	| "root of its own"
	| "read-only root"
	| "read-only /proc"
	| "masked paths"
	| "devices"
	| "capabilities"
	| "ordinary user"
	| "user namespace"
	| "pid namespace"
	| "network namespace"
	| "seccomp"
	| "rlimits"
	| "cgroup cpu"
	| "cgroup memory"
	| "heap size"
	| "cgroup pids"
	| "tmpfs size"
	| "tmpfs inodes"
	| "descriptors are closed"
	| "environment from nothing"
	| "deadline"
	| "start budget"
	| "life of a sandbox"
	| "one version to a sandbox"
	| "strays retire a sandbox"
	| "freezer"
	| "errors by invocation"
	| "log cap"
	| "response cap"
	| "stream cap"
	| "agent's frames are checked"
	| "output is log alone"
	| "archive rules"
	| "build sandbox"
	| "build's own language checks"
	| "time of a build"
	| "no shell"
	| "integrity of packages"
	| "lock file's rules"
	| "gateway's limits"
	| "gateway's checks"
	| "keys and scopes"
	| "projects"
	| "one script in Redis"
	| "cancellation"
	| "signature"
	| "what was let in is known"
	| "time window"
	| "comparison in constant time"
	| "raw body"
	| "secrets by the manifest's names"
	| "sandboxes by their secrets"
	| "secrets for hosts stay outside"
	| "what is printed is looked through"
	| "secrets are sealed"
	| "build's own environment"
	| "no TRACE with a secret"
	| "one host to a connection"
	| "the host's certificate"
	| "injection by host";

/** Without any one of these the attack gets through, and its test fails; of a list within, each would do alone. */
export type HeldBy = readonly (Protection | readonly Protection[])[];

/** An attack that is deployed as a function and invoked, in every column that isn't excepted. */
export interface Tried {
	readonly heldBy: HeldBy;
	/** Its source in test/fixtures/attacks; attacks with the same manifest share a function, which has them all. */
	readonly fixture: string;
	readonly manifest?: Manifest;
	/** Not with others: a function that is all its own, since what it leaves would be in their way; or that is nothing but this source. */
	readonly own?: "function" | "source";
	/** It is begun first: the others have time to be tried meanwhile. */
	readonly slow?: true;
	readonly except?: Partial<Readonly<Record<Column, Reason>>>;
	/** What a column's own kernel gives it of what it tries, all else being refused. */
	readonly granted?: Partial<Readonly<Record<Column, Grant>>>;
	/** Fails when the attack got through; without it, everything that it tried must have been refused but for what is granted. The host must be as it was either way. */
	readonly isContained?: (attacker: Attacker) => Promise<void>;
}

/** What isn't refused, as none of it is the host's. */
export interface Grant {
	/** By the names that the attacker reports. */
	readonly attempts: readonly string[];
	/** Why it takes no wall away. */
	readonly because: string;
}

/** An attack that is an archive to be built, in every column that isn't excepted. */
export interface TriedBuild {
	readonly heldBy: HeldBy;
	/** @param mark is to occur in what it would leave */
	readonly archive: (mark: string) => { readonly kind: "tar.gz" | "zip"; readonly bytes: Buffer };
	readonly except: Partial<Readonly<Record<Column, Reason>>>;
	/** What the problem has to have: it is refused when it is built. */
	readonly refused: Readonly<Record<string, unknown>>;
}

/** One that something else tries already, once for all columns. */
export interface TriedElsewhere {
	readonly heldBy: HeldBy;
	readonly tests: readonly NamedTest[];
	/** Why no other column than the first tries it. */
	readonly because: Reason;
}

export interface NamedTest {
	readonly file: string;
	readonly title: string;
}

export type Attack = Tried | TriedBuild | TriedElsewhere;
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
	/** By name, what it tries and is given by this column's kernel. */
	readonly granted: readonly string[];
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
	/** Sets a secret of the project's, unless this column has: its value is `secretValue(name)`. */
	secret(name: string): Promise<void>;
	/** Deploys its function again, otherwise. */
	nextVersion(): Promise<void>;
	/** Nothing of that sandbox runs on the host. */
	isGone(sandbox: string | undefined): Promise<void>;
}
