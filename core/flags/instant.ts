const PATTERN = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})$/;
const DAY_MS = 86_400_000;

/** An RFC 3339 time as milliseconds since 1970; undefined when the text is none. The zone is required: a local time is no instant. */
export function parseInstant(text: string): number | undefined {
	const found = text.length <= 40 ? PATTERN.exec(text) : null;
	if (!found) return undefined;
	const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number) as [number, number, number, number, number, number];
	const zone = found[8] ?? "Z";
	const isValid = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) && hour < 24 && minute < 60 && second < 61;
	if (!isValid) return undefined;
	let offsetMinutes = 0;
	if (zone.length > 1) {
		const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(4, 6))];
		if (hours > 23 || minutes > 59) return undefined;
		offsetMinutes = (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes);
	}
	const millis = Math.floor(Number(`0.${found[7] ?? "0"}`) * 1_000);
	return daysSince1970(year, month, day) * DAY_MS + ((hour * 60 + minute - offsetMinutes) * 60 + second) * 1_000 + millis;
}

function daysIn(year: number, month: number): number {
	if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
	return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Days of the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
function daysSince1970(year: number, month: number, day: number): number {
	const y = month <= 2 ? year - 1 : year;
	const era = Math.floor(y / 400);
	const yearOfEra = y - era * 400;
	const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
	return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468;
}
