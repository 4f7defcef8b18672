// A row a tick: what a person watching the rollout would want to know.

const COLUMNS = [
	["time", 5],
	["served", 7],
	["candidate: users harmed", 23],
	["control: users harmed", 21],
	["evidence", 14],
	["level", 9],
	["decision", 0],
];
const SYMBOL = { hold: "·", advance: "▲", complete: "✔", roll_back: "▼", step_back: "◂", pause: "‖" };
const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const header = () => {
	const titles = COLUMNS.map(([title, width]) => title.padEnd(width)).join("  ");
	return `${titles}\n${"─".repeat(Math.max(titles.length, 120))}`;
};

/** `check`: the health a tick stored. */
export function row(check, startedAtMs) {
	const { judgement } = check;
	const minutes = Math.round((check.atMs - startedAtMs) / 60_000);
	const arm = (found) => (found ? `${number.format(found.harmedUsers).padStart(6)} of ${number.format(found.users).padStart(6)}` : "–");
	const cells = [
		`+${minutes}m`,
		`${check.percent} %`,
		arm(judgement?.candidate),
		arm(judgement?.control),
		judgement ? `E = ${evidence(judgement.harm.e)}` : "–",
		check.level,
		`${SYMBOL[check.decision] ?? " "} ${check.decision.replace("_", " ")}: ${check.message}`,
	];
	return cells.map((cell, i) => cell.padEnd(COLUMNS[i][1])).join("  ");
}

function evidence(e) {
	if (e >= 1_000) return number.format(e);
	return e >= 10 ? e.toFixed(0) : e.toFixed(2);
}
