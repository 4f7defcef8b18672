import { pack } from "../../core/flags/snapshot";
import { HEAD_KEY, bodyKey } from "../../core/wire";
import type { Database } from "../store/database";
import { commitPublication, headPut, keepBody, pendingEnvironments, readHead, stateOf } from "../store/publication";
import { sha256Hex } from "../sha256";
import { log, nameOf } from "../log";
import { tableOf } from "../patterns/tables";
import { within } from "../within";

export interface Publisher {
	readonly db: Database;
	readonly kv: KVNamespace;
	readonly realNow: () => number;
}

/** A put that has not answered by then has failed: the next tick tries again. */
const PUT_TIMEOUT_MS = 10_000;
/** KV's copy of the head is renewed at least so often, for edges that cannot reach control. */
const HEAD_RENEWED_MS = 300_000;
/** Each round found a newer head than the one just put; after so many the next tick goes on. */
const HEAD_ROUNDS_MAX = 5;

/**
 * Publishes what is pending: the body first, then the head that points to it. Everything is derived from D1, and a version
 * always packs to the same bytes, so it does not matter who publishes, how often, or where the last one died.
 * Returns the environments that could not be published.
 */
export async function publish(publisher: Publisher): Promise<readonly string[]> {
	const pending = await pendingEnvironments(publisher.db);
	const failed: string[] = [];
	for (const environment of pending) {
		try {
			// oxlint-disable-next-line no-await-in-loop -- two environments, and KV takes one write a second a key
			await publishEnvironment(publisher, environment);
		} catch (error) {
			// Publication stays pending in D1; edges go on with the body they have, under the head's overlay.
			failed.push(environment);
			log("publish_failed", { environment, error: nameOf(error) });
		}
	}
	try {
		await putHead(publisher);
	} catch (error) {
		// Edges read the head from control; KV's copy is for when they can't.
		log("head_put_failed", { error: nameOf(error) });
	}
	return failed;
}

async function publishEnvironment({ db, kv, realNow }: Publisher, environment: string): Promise<void> {
	const state = await stateOf(db, environment);
	if (!state) throw new Error(`no environment ${environment}`);
	for (const key of state.damaged) log("flag_corrupt", { environment, key });
	const { firstLine, body } = pack(state, tableOf);
	await keepBody(db, environment, state.version, body);
	await within(PUT_TIMEOUT_MS, kv.put(bodyKey(environment, state.version), body));
	await commitPublication(db, { environment, version: state.version, digest: await sha256Hex(firstLine) }, realNow());
}

/**
 * Of two publishers the one that put the older head sees, after its put, that a newer one exists, and puts that. Should it
 * die in between, the renewal heals KV's copy.
 */
async function putHead({ db, kv, realNow }: Publisher): Promise<void> {
	let mine: number | undefined;
	for (let round = 0; round < HEAD_ROUNDS_MAX; round++) {
		// oxlint-disable-next-line no-await-in-loop -- looks again after each put
		const current = await readHead(db);
		const isDue = current.content > (mine ?? current.kv) || realNow() - current.kvPutAtMs >= HEAD_RENEWED_MS;
		if (!isDue) return;
		mine = current.head.revision;
		// oxlint-disable-next-line no-await-in-loop -- see above
		await within(PUT_TIMEOUT_MS, kv.put(HEAD_KEY, JSON.stringify(current.head)));
		// oxlint-disable-next-line no-await-in-loop -- see above
		await headPut(db, mine, realNow());
	}
}
