import { startPeers } from "./peers.mjs";
import { drawing } from "./random.mjs";
import { MINUTES, traffic } from "./traffic.mjs";
import { fewUsers } from "./users.mjs";

/** One repetition each, by kind of cell: the same cell and repetition give the same result in whatever worker. */
export const RUNS = { harm, advance, ruledOut, fewUsers };

/** The minute in which the judge, and each peer, would have rolled back; Infinity: not within the day. */
function harm(judge, cell, repetition) {
	const stops = watch(cell, repetition, judge.watchHarm(judge.aPlan()), cell.peers ? startPeers(judge) : []);
	// What is simulated is the engine's rule: where it is watched without the engine around it, the engine must say the same.
	if (repetition === 0) {
		const rollout = judge.startRollout(judge.aPlan());
		const [stop] = watch(cell, 0, (minute) => rollout.tick(judge.evidenceOf(minute)).reason === "harm_proven", []);
		if (stop !== stops[0]) throw new Error(`${JSON.stringify(cell)}: the engine rolls back in minute ${stop}, its guard in ${stops[0]}`);
	}
	return stops;
}

function watch(cell, repetition, ours, peers) {
	const next = traffic[cell.traffic](cell, drawing(cell, repetition));
	const judges = [ours, ...peers];
	const stops = judges.map(() => Infinity);
	for (let at = 1, left = judges.length; at <= MINUTES && left > 0; at++) {
		const minute = next(at);
		for (let i = 0; i < judges.length; i++)
			if (stops[i] === Infinity && judges[i](minute)) {
				stops[i] = at;
				left--;
			}
	}
	return stops;
}

/** How the first phase of a plan without hold ends within the day, and when. */
function advance(judge, cell, repetition) {
	const next = traffic.independent(cell, drawing(cell, repetition));
	const phases = [5, 100].map((percent) => ({ percent, hold: "0s" }));
	const rollout = judge.startRollout(judge.aPlan({ phases, guards: [cell.guard] }));
	for (let at = 1; at <= MINUTES; at++) {
		const { kind } = rollout.tick(judge.evidenceOf(next(at)));
		if (kind !== "hold") return [kind, at];
	}
	return ["hold", MINUTES];
}

/** Users of a healthy candidate until a doubling is ruled out. */
function ruledOut(judge, cell, repetition) {
	const { poisson } = drawing(cell, repetition);
	const { baseline, share, perMinute } = cell;
	const harmless = perMinute * (1 - baseline);
	let [logs, users, harmed] = [judge.startDoubling(), 0, 0];
	while (judge.logDoublingRuledOut(logs) < Math.log(10)) {
		const x = poisson(perMinute * baseline);
		const y = poisson((perMinute * baseline * (1 - share)) / share);
		logs = judge.updateDoubling(logs, [{ harmed: x, units: x + y, share }], harmed / Math.max(1, users));
		users += x + poisson(harmless);
		harmed += x;
	}
	return users;
}
