import { closeSync } from "node:fs";
import koffi from "koffi";
import { check, libc } from "../syscalls.js";

/** Numbers of system calls, the same on x86-64 and arm64: libc has names for them only of late. */
const SYS = { openTree: 428, moveMount: 429, mountSetattr: 442 } as const;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
/** mount_setattr(2), from linux/mount.h. */
const ATTR = { rdonly: 1, nosuid: 2, nodev: 4, noexec: 8, idmap: 0x10_0000 } as const;
/** struct mount_attr: four 64-bit numbers, of which the first is what is set and the last a user namespace. */
const ATTR_BYTES = 32;
const ATTR_SET = 0;
const ATTR_USERNS = 24;

const cOpenTree = libc.func("syscall", "long", ["long", "int", "str", "uint"]);
const cMoveMount = libc.func("syscall", "long", ["long", "int", "str", "int", "str", "uint"]);
const cMountSetattr = libc.func("syscall", "long", ["long", "int", "str", "uint", "const uint8_t *", "size_t"]);

/** Why mounts can't have what they need here; undefined when they can. */
export function whyNoMountAttributes(): string | undefined {
	const found = Number(cMountSetattr(SYS.mountSetattr, -1, "", AT_EMPTY_PATH, Buffer.alloc(ATTR_BYTES), ATTR_BYTES));
	return found < 0 && koffi.errno() === koffi.os.errno.ENOSYS ? "its kernel is older than Linux 5.12" : undefined;
}

/** What is mounted where. */
export interface BindRequest {
	/** A path of ours, or a descriptor of it. */
	readonly source: string | number;
	readonly target: string;
	readonly readOnly: boolean;
	/** Whether what is mounted below it comes along. */
	readonly recursive: boolean;
	/** A user namespace: files belong to its ids as they say, whichever ids of the host those are. Absent: to the host's. */
	readonly userNamespace?: number;
}

/** Mounts a directory at a second place without device nodes, set-id bits and programs, which is never there without. @throws SyscallError */
export function bindInert({ source, target, readOnly, recursive, userNamespace }: BindRequest): void {
	const [at, path] = typeof source === "number" ? [source, ""] : [AT_FDCWD, source];
	const flags = OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	const tree = Number(cOpenTree(SYS.openTree, at, path, flags));
	check(tree, `open_tree ${source}`);
	try {
		const idmap = userNamespace === undefined ? 0 : ATTR.idmap;
		const set = ATTR.nosuid | ATTR.nodev | ATTR.noexec | (readOnly ? ATTR.rdonly : 0) | idmap;
		const attributes = Buffer.alloc(ATTR_BYTES);
		attributes.writeBigUInt64LE(BigInt(set), ATTR_SET);
		attributes.writeBigUInt64LE(BigInt(userNamespace ?? 0), ATTR_USERNS);
		const how = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
		check(Number(cMountSetattr(SYS.mountSetattr, tree, "", how, attributes, ATTR_BYTES)), `mount_setattr for ${target}`);
		check(Number(cMoveMount(SYS.moveMount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)), `move_mount to ${target}`);
	} finally {
		closeSync(tree);
	}
}
