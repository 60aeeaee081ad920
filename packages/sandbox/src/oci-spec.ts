/** The part of the OCI runtime spec's config.json (v1.0.2) that we write. */
export interface OciSpec {
	readonly ociVersion: string;
	readonly process: {
		readonly terminal: false;
		readonly user: { readonly uid: number; readonly gid: number; readonly umask: number };
		readonly args: readonly string[];
		readonly env: readonly string[];
		readonly cwd: string;
		readonly capabilities: Readonly<Record<"bounding" | "effective" | "inheritable" | "permitted" | "ambient", readonly string[]>>;
		readonly rlimits: readonly { readonly type: string; readonly hard: number; readonly soft: number }[];
		readonly noNewPrivileges: true;
		readonly apparmorProfile?: string;
		readonly oomScoreAdj: number;
	};
	readonly root: { readonly path: string; readonly readonly: true };
	readonly hostname: string;
	readonly mounts: readonly {
		readonly destination: string;
		readonly type: string;
		readonly source: string;
		readonly options: readonly string[];
	}[];
	readonly linux: {
		readonly rootfsPropagation: "rslave";
		readonly cgroupsPath: string;
		readonly namespaces: readonly { readonly type: string }[];
		readonly uidMappings: readonly IdMapping[];
		readonly gidMappings: readonly IdMapping[];
		readonly resources: {
			readonly devices: readonly { readonly allow: boolean; readonly access: string }[];
			readonly memory: { readonly limit: number; readonly swap?: number };
			readonly cpu: { readonly shares: number; readonly quota: number; readonly period: number };
			readonly pids?: { readonly limit: number };
			readonly unified?: Readonly<Record<string, string>>;
		};
		readonly seccomp?: LinuxSeccomp;
		readonly maskedPaths: readonly string[];
		readonly readonlyPaths: readonly string[];
	};
}

export interface IdMapping {
	readonly containerID: number;
	readonly hostID: number;
	readonly size: number;
}

export interface SeccompRule {
	readonly names: readonly string[];
	readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
	readonly errnoRet?: number;
	readonly args?: readonly {
		readonly index: number;
		readonly value: number;
		readonly valueTwo?: number;
		readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
	}[];
}

export interface LinuxSeccomp {
	readonly defaultAction: "SCMP_ACT_ERRNO";
	readonly defaultErrnoRet: number;
	readonly architectures: readonly string[];
	readonly syscalls: readonly SeccompRule[];
}
