import { env } from "cloudflare:workers";
import { type Database, open } from "../../../../control/store/database";

/** Stands before all that a tick asks, and lets the n-th call go wrong. */

/** before: it never arrives. after: it is carried out, and the answer lost. dead: nothing arrives from then on, as when the process dies. */
export type Mode = "before" | "after" | "dead";

export interface Breakable {
	readonly db: Database;
	readonly kv: KVNamespace;
	/** Whoever else is called. */
	readonly around: <T extends object>(outside: T) => T;
	/** How many calls there were, and what the last one before the fault asked. */
	readonly calls: () => number;
	readonly broken: () => string;
}

const STATEMENT_CALLS = ["run", "all", "raw", "first"];
const DATABASE_CALLS = ["exec", "dump"];

/** `at` counts from 1. */
export function breakable(at: number, mode: Mode): Breakable {
	let calls = 0;
	let broken = "";
	const call = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
		const mine = ++calls;
		if (mine === at) broken = what;
		if (mode === "dead" ? mine >= at : mode === "before" && mine === at) throw new Error("D1_ERROR: Network connection lost.");
		const answer = await work();
		if (mode === "after" && mine === at) throw new Error("D1_ERROR: Network connection lost.");
		return answer;
	};
	const around = <T extends object>(target: T, isCall: (name: string) => boolean, change: Readonly<Record<string, unknown>> = {}): T =>
		new Proxy(target, {
			get(given, property) {
				const name = String(property);
				if (name in change) return change[name];
				const found = Reflect.get(given, property) as unknown;
				if (typeof found !== "function") return found;
				const bound = found.bind(given) as (...all: unknown[]) => Promise<unknown>;
				return isCall(name) ? (...all: unknown[]) => call(`${name} ${textOf(all)}`, () => bound(...all)) : bound;
			},
		});
	const real = new WeakMap<D1PreparedStatement, D1PreparedStatement>();
	const statement = (given: D1PreparedStatement, sql: string): D1PreparedStatement => {
		const wrapped = new Proxy(given, {
			get(target, property) {
				const name = String(property);
				const found = Reflect.get(target, property) as unknown;
				if (typeof found !== "function") return found;
				const bound = found.bind(target) as (...all: unknown[]) => Promise<unknown>;
				if (name === "bind") return (...values: unknown[]) => statement(target.bind(...values), sql);
				return STATEMENT_CALLS.includes(name) ? (...all: unknown[]) => call(sql, () => bound(...all)) : bound;
			},
		});
		real.set(wrapped, given);
		return wrapped;
	};
	const database = around<D1Database>(env.DB, (name) => DATABASE_CALLS.includes(name), {
		prepare: (sql: string) => statement(env.DB.prepare(sql), sql),
		batch: (all: readonly D1PreparedStatement[]) => call("batch", () => env.DB.batch(all.map((each) => real.get(each) ?? each))),
	});
	const everything = (): boolean => true;
	return {
		db: open(database),
		kv: around(env.SNAPSHOTS, everything),
		around: (outside) => around(outside, everything),
		calls: () => calls,
		broken: () => broken,
	};
}

const textOf = ([first]: readonly unknown[]): string => (typeof first === "string" ? first : "");
