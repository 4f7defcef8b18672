import { type Verdict, type Waiting, next, opened, settled } from "../../core/notify/round";
import { signing } from "../../core/notify/secrets";
import { type Outcome, type Settlement, settle } from "../../core/notify/settle";
import { log, nameOf } from "../log";
import { type Message, messageOf } from "../notify/message";
import type { Notifier, Recipient } from "../notify/notifier";
import type { Database } from "../store/database";
import { type Claimed, claim, fanOut, listWaiting, recordAttempt } from "../store/webhookDeliveries";
import { disableGone, listWebhooks } from "../store/webhooks";
import { ENGINE } from "./engine";

export interface Delivering {
	readonly db: Database;
	readonly notifier: Notifier;
	readonly realNow: () => number;
}

/** As many as a Worker may have open. */
const AT_ONCE = 6;
const SENT_MAX = 100;
/** With the last request's time-out of 10 s the whole round takes 20 s. */
const STARTED_WITHIN_MS = 10_000;
/** Longer than a request and its record can take: then whoever had the delivery is gone. */
const LEASE_MS = 60_000;

/**
 * Tells subscribers what has happened, by real time. A delivery is leased, sent and recorded one by one: whoever dies in
 * between leaves one that is sent again, under the same id.
 */
export async function deliver({ db, notifier, realNow }: Delivering): Promise<void> {
	const startedAtMs = realNow();
	await fanOut(db, startedAtMs);
	const waiting = await listWaiting(db, startedAtMs);
	if (waiting.length === 0) return;
	const recipients = await recipientsOf(db, startedAtMs);
	let round = opened(
		waiting.filter(({ webhook }) => recipients.has(webhook)),
		startedAtMs,
		SENT_MAX,
	);
	// Who finds nothing to send ends: whatever is held back behind a delivery on its way is for who has that.
	const work = async (): Promise<void> => {
		while (realNow() - startedAtMs < STARTED_WITHIN_MS) {
			const chosen = next(round);
			const recipient = chosen && recipients.get(chosen.delivery.webhook);
			if (!recipient) return;
			round = chosen.round;
			// oxlint-disable-next-line no-await-in-loop -- one after the other is what a lane is
			const verdict = await attempt({ db, notifier, realNow }, chosen.delivery, recipient);
			round = settled(round, chosen, verdict);
		}
	};
	await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function recipientsOf(db: Database, now: number): Promise<ReadonlyMap<string, Recipient>> {
	const recipients = new Map<string, Recipient>();
	for (const { id, stored } of await listWebhooks(db)) {
		if (stored) recipients.set(id, { url: stored.url, secrets: signing(stored.secrets, now).map(({ secret }) => secret) });
		else log("webhook_damaged", { webhook: id });
	}
	return recipients;
}

/** One that fails in a way nobody foresaw is due again when its lease ends. */
async function attempt(given: Delivering, delivery: Waiting, recipient: Recipient): Promise<Verdict> {
	try {
		const claimed = await claim(given.db, delivery, given.realNow() + LEASE_MS);
		return claimed ? await send(given, claimed, recipient) : "held";
	} catch (error) {
		log("delivery_failed", { webhook: delivery.webhook, delivery: delivery.event, error: nameOf(error) });
		return "held";
	}
}

async function send(given: Delivering, claimed: Claimed, recipient: Recipient): Promise<Verdict> {
	const message = read(claimed);
	const outcome = message && (await given.notifier.send(recipient, message, given.realNow()));
	const now = given.realNow();
	const settlement: Settlement = outcome ? settle(claimed, outcome, now) : { kind: "dead", error: "its row in the outbox cannot be read" };
	if (settlement.kind !== "delivered") log("webhook_failed", { webhook: claimed.webhook, delivery: claimed.event, ...settlement });
	await record(given, claimed, settlement, recipient, now);
	return verdictOf(settlement, outcome);
}

function read({ event, atMs, type, payload }: Claimed): Message | undefined {
	try {
		return payload === undefined ? undefined : messageOf({ id: event, atMs, type, payload });
	} catch {
		return undefined;
	}
}

function verdictOf({ kind }: Settlement, outcome: Outcome | undefined): Verdict {
	if (outcome?.kind === "silent" || kind === "gone") return "silent";
	return kind === "retry" ? "held" : "passed";
}

async function record({ db }: Delivering, claimed: Claimed, settlement: Settlement, { url }: Recipient, now: number): Promise<void> {
	// D1 repeats no write by itself. This one may be repeated, and what is not recorded would be sent again.
	const write = (known: Exclude<Settlement, { kind: "gone" }>): Promise<void> =>
		recordAttempt(db, claimed, known, now).catch(() => recordAttempt(db, claimed, known, now));
	if (settlement.kind !== "gone") return write(settlement);
	const act = { actor: ENGINE, reason: settlement.error, correlationId: `deliver/${now}`, atMs: now };
	const isDisabled = await disableGone(db, claimed.webhook, url, act, now);
	// It has another address by now, or somebody has disabled it before: then that is what counts.
	return isDisabled ? undefined : write({ kind: "retry", dueAtMs: now, error: settlement.error });
}
