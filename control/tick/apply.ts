import type { Observation } from "../../core/health/observation";
import { WAYS_BACK } from "../../core/rollouts/advise";
import type { Change, Hold } from "../../core/rollouts/decision";
import { log, nameOf } from "../log";
import type { Database } from "../store/database";
import { type RolloutChange, commitChanges, movedSince, recordFailure } from "../store/rolloutChanges";
import { flagWrites } from "../store/rolloutFlags";
import type { StoredRollout } from "../store/rollouts";
import { ENGINE } from "./engine";

/** What was decided of one rollout. */
export interface Decided<D = Hold | Change> {
	readonly row: StoredRollout;
	readonly observation: Observation;
	readonly decision: D;
}

/** Too many at once would cost the tick its end; what is left is decided again by the next one. */
const CHANGES_MAX = 1_000;
/** Those whose flags must be read first, a query each. */
const READING_MAX = 100;
/** Of a dozen statements each, of the thousand that an invocation may ask of D1. */
const TRANSACTIONS_MAX = 60;
/** A statement's parameter holds 2 MB at most, and a UTF-16 unit is 3 bytes of UTF-8 at most. */
const TRANSACTION_CHARACTERS = 600_000;

const isWayBack = ({ kind }: Change): boolean => WAYS_BACK.includes(kind);
const isReading = ({ kind, restore }: Change): boolean => kind === "complete" || restore !== undefined;

/**
 * Writes what was decided, many changes in one transaction: first of those whose users are being hurt. One that failed before is
 * tried alone. Returns whose changes were not written; the next tick decides them again.
 */
export async function apply(
	db: Database,
	decided: readonly Decided<Change>[],
	now: number,
	realNow: () => number,
): Promise<readonly Decided<Change>[]> {
	const sorted = [...decided].sort(
		(a, b) => Number(isWayBack(b.decision)) - Number(isWayBack(a.decision)) || a.row.failedChanges - b.row.failedChanges,
	);
	const late = new Set(sorted.filter(({ decision }) => isReading(decision)).slice(READING_MAX));
	const some = sorted.filter((each) => !late.has(each)).slice(0, CHANGES_MAX);
	if (some.length < sorted.length) log("changes_left", { count: sorted.length - some.length });
	const writing = { db, now, written: new Set<string>(), transactionsLeft: TRANSACTIONS_MAX };
	const changes: RolloutChange[] = [];
	// oxlint-disable-next-line no-await-in-loop -- most read nothing
	for (const each of some) changes.push(...(await prepared(writing, each, realNow())));
	// oxlint-disable-next-line no-await-in-loop -- D1 has one writer
	for (const group of inGroups(changes)) await write(writing, group);
	return sorted.filter(({ row }) => !writing.written.has(row.id));
}

interface Writing {
	readonly db: Database;
	readonly now: number;
	/** Rollouts. */
	readonly written: Set<string>;
	transactionsLeft: number;
}

async function prepared({ db, now }: Writing, { row, observation, decision }: Decided<Change>, realNow: number): Promise<RolloutChange[]> {
	const act = { actor: ENGINE, reason: decision.message, correlationId: `tick/${now}`, atMs: now };
	const evidence = { observation, judgement: decision.judgement };
	try {
		return [{ row, ...(await flagWrites(db, row, decision)), act, realNow, evidence }];
	} catch (error) {
		await failed(db, row, decision, error, now);
		return [];
	}
}

/** Ways back by themselves, as long as a parameter may be. */
function inGroups(changes: readonly RolloutChange[]): RolloutChange[][] {
	const groups: RolloutChange[][] = [];
	let characters = 0;
	for (const each of changes) {
		const { row, change, evidence, writes } = each;
		const own = JSON.stringify([row.state, change.state, evidence, writes]).length;
		characters += own;
		const before = groups.at(-1)?.at(-1);
		const isAlike = before && isWayBack(before.change) === isWayBack(change) && before.row.failedChanges + row.failedChanges === 0;
		if (isAlike && characters <= TRANSACTION_CHARACTERS) groups.at(-1)?.push(each);
		else {
			groups.push([each]);
			characters = own;
		}
	}
	return groups;
}

/** A group that cannot be written is halved, until what keeps it from being written is alone. */
async function write(writing: Writing, group: readonly RolloutChange[]): Promise<void> {
	const { db, now, written } = writing;
	if (group.length === 0 || writing.transactionsLeft-- <= 0) return;
	let why: { readonly error: unknown } | undefined;
	try {
		if (await commitChanges(db, group)) {
			for (const { row } of group) written.add(row.id);
			return;
		}
	} catch (error) {
		why = { error };
	}
	const left = await unmoved(db, group);
	if (left.length < group.length) return write(writing, left);
	const [first] = left;
	if (first && left.length === 1) {
		// It lost against somebody who has changed one of its flags.
		if (why) await failed(db, first.row, first.change, why.error, now);
		else lost(first);
		return;
	}
	const half = left.length >> 1;
	await write(writing, left.slice(0, half));
	await write(writing, left.slice(half));
}

/** Somebody else changed the others first, or their answer alone was lost: the next tick sees what there is. */
async function unmoved(db: Database, group: readonly RolloutChange[]): Promise<readonly RolloutChange[]> {
	try {
		const moved = await movedSince(db, group);
		group.filter(({ row }) => moved.has(row.id)).forEach(lost);
		return group.filter(({ row }) => !moved.has(row.id));
	} catch (error) {
		// A database that cannot be read takes no halves either.
		for (const { row, change } of group) log("change_failed", { rollout: row.id, kind: change.kind, error: nameOf(error) });
		return [];
	}
}

function lost({ row, change }: RolloutChange): void {
	log("decision_lost", { rollout: row.id, revision: row.revision + 1, kind: change.kind });
}

async function failed(db: Database, row: RolloutChange["row"], { kind }: Change, error: unknown, now: number): Promise<void> {
	log("change_failed", { rollout: row.id, kind, error: nameOf(error) });
	try {
		await recordFailure(db, row, kind, nameOf(error), now);
	} catch (again) {
		log("tick_step_failed", { step: "record_failure", error: nameOf(again) });
	}
}
