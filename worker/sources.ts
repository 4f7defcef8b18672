import type { HeadSource } from "../core/wire";
import type { Wait } from "./within";

/** KV, as far as the edge reads it. */
export interface SnapshotStore {
	head(): Promise<unknown>;
	body(environment: string, version: number): Promise<ArrayBuffer | null>;
	/** The break-glass overlay, written by hand. */
	override(environment: string): Promise<unknown>;
}

/** Where one request gets a head and bodies from. */
export interface Sources {
	readonly control: HeadSource;
	readonly store: SnapshotStore;
	/** Where the request came in; asked for only when the head is. */
	readonly colo: () => string;
	/** Real time, whatever clock events are stamped with. */
	readonly now: () => number;
	readonly wait: Wait;
	/** Lets work go on after the answer. */
	readonly waitUntil: (work: Promise<unknown>) => void;
}
