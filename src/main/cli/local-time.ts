/** `2026-01-31 23:59:59` in the local time zone, as doveadm prints times. */
export function localTime(unixSecs: number): string {
  const date = new Date(unixSecs * 1000);
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${day} ${time}`;
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}
