/** Which delivery comes next: pure, so that its laws can be tested. A lane is what one subscriber is owed of one subject, in order. */

export interface Waiting {
	readonly webhook: string;
	readonly subject: string;
	/** Events are numbered in the order in which they happened. */
	readonly event: number;
	readonly attempts: number;
	readonly dueAtMs: number;
	readonly sinceMs: number;
	/** Something that this subscriber is owed has failed before. */
	readonly failing: boolean;
}

interface Lane {
	readonly webhook: string;
	readonly waiting: readonly Waiting[];
}

export interface Round {
	/** Those that nothing is on its way for, the next one first. */
	readonly idle: readonly Lane[];
	/** How many are on their way to a subscriber. */
	readonly busy: ReadonlyMap<string, number>;
	/** Subscribers that have given no answer in this round: whoever waits for them keeps others waiting. */
	readonly silent: ReadonlySet<string>;
	/** How many more may be sent. */
	readonly left: number;
}

/** How an attempt ended. `passed`: the next of the lane may go; `held`: it may not; `silent`: nor may any other to this subscriber. */
export type Verdict = "passed" | "held" | "silent";

/** To one subscriber at once, so that one that is slow does not take all connections. */
export const TO_ONE_AT_ONCE = 2;

/** A lane whose first event is not due is left out whole. Subscribers take turns, those that are failing come last. */
export function opened(waiting: readonly Waiting[], now: number, sentMax: number): Round {
	const byWebhook = Map.groupBy(waiting, ({ webhook }) => webhook);
	const ranked = [...byWebhook].flatMap(([webhook, owed]) => {
		const isFailing = owed.some(({ failing }) => failing);
		const lanes = [...Map.groupBy(owed, ({ subject }) => subject).values()]
			.map((lane) => lane.toSorted((a, b) => a.event - b.event))
			.filter(([first]) => first !== undefined && first.dueAtMs <= now)
			.sort((a, b) => firstOf(a) - firstOf(b));
		return lanes.map((lane, turn) => ({ lane: { webhook, waiting: lane }, isFailing, turn }));
	});
	ranked.sort((a, b) => Number(a.isFailing) - Number(b.isFailing) || a.turn - b.turn || firstOf(a.lane.waiting) - firstOf(b.lane.waiting));
	return { idle: ranked.map(({ lane }) => lane), busy: new Map(), silent: new Set(), left: sentMax };
}

const firstOf = ([first]: readonly Waiting[]): number => first?.event ?? 0;

export interface Next {
	readonly delivery: Waiting;
	/** What comes after it in its lane. */
	readonly rest: readonly Waiting[];
	/** With the delivery on its way. */
	readonly round: Round;
}

/** undefined: nothing may be sent now; unless something is on its way, nothing more in this round. */
export function next(round: Round): Next | undefined {
	if (round.left === 0) return undefined;
	const at = round.idle.findIndex(({ webhook }) => !round.silent.has(webhook) && (round.busy.get(webhook) ?? 0) < TO_ONE_AT_ONCE);
	const lane = round.idle[at];
	const [delivery, ...rest] = lane?.waiting ?? [];
	if (!lane || !delivery) return undefined;
	const busy = new Map(round.busy).set(lane.webhook, (round.busy.get(lane.webhook) ?? 0) + 1);
	return { delivery, rest, round: { ...round, idle: round.idle.toSpliced(at, 1), busy, left: round.left - 1 } };
}

/** After the attempt of what `next` gave. */
export function settled(round: Round, { delivery: { webhook }, rest }: Next, verdict: Verdict): Round {
	const busy = new Map(round.busy).set(webhook, (round.busy.get(webhook) ?? 0) - 1);
	const goesOn = verdict === "passed" && rest.length > 0;
	return {
		...round,
		busy,
		idle: goesOn ? [...round.idle, { webhook, waiting: rest }] : round.idle,
		silent: verdict === "silent" ? new Set(round.silent).add(webhook) : round.silent,
	};
}
