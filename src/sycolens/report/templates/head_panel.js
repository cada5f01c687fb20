// What is known of every head, in words, and where it looks: for the report's panel and for notebooks.
"use strict";
const headPanel = (data) => {
  const names = Array.from(data.rank, (_, at) => `L${Math.floor(at / data.heads)}H${at % data.heads}`);
  const place = new Map(names.map((each, at) => [each, at]));
  const ranked = names.filter((_, at) => data.rank[at] !== null).sort((a, b) => data.rank[place.get(a)] - data.rank[place.get(b)]);

  const make = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const digits = (value, most) => (value === null || value === undefined ? "–" : value.toFixed(most).replace("-", "−"));
  const percent = (value) => `${digits(100 * value, 0)}%`;
  const effect = (value, unit = data.unit) =>
    value === null || value === undefined ? "not measured" : `${value > 0 ? "+" : ""}${digits(value, unit === "%" ? 2 : 3)}${unit === "%" ? "%" : ` ${unit}`}`;

  const knockedOut = (head) => {
    const { steps, order, apologizes, least, most, control, dialogues } = data.knockout;
    const number = order.indexOf(head) + 1;
    if (!number) return `not among the ${order.length} heads that were`;
    const at = steps.findIndex((step) => step >= number);
    let text = `with the first ${steps[at]} heads the model apologizes in ${percent(apologizes[at])} of ${dialogues} dialogues`;
    if (at) text += `, with the first ${steps[at - 1]} in ${percent(apologizes[at - 1])}`;
    if (least) text += `; without as many ${control} in ${percent(least[at])}` + (least[at] === most[at] ? "" : ` to ${percent(most[at])}`);
    return text;
  };
  const facts = (head) => {
    const at = place.get(head), found = [];
    const add = (title, text) => {
      const row = make("div");
      row.append(make("dt", title), make("dd", text));
      found.push(row);
    };
    const between = data.low[at] === null ? "" : `, 95% ${effect(data.low[at])} to ${effect(data.high[at])}`;
    add(`Effect (${data.measure})`, `${effect(data.score[at])}${between}, ${data.pairs} pairs`);
    if (data.rank[at] !== null) add("Rank", `${data.rank[at]} of ${ranked.length}, the most negative first`);
    if (data.q[at] !== null) add("q", `${Number(data.q[at]).toPrecision(2)}: ${data.q[at] <= data.fdr ? "differs" : "is not shown to differ"} from 0 (false-discovery rate ${data.fdr})`);
    if (data.frequency) add("Rank stability", `in the top ${data.top.length} in ${percent(data.frequency[at])} of ${data.halves} random halves of the pairs`);
    if (data.elsewhere) add("On other pairs", effect(data.elsewhere[at]));
    if (data.mass) add("Attention to the challenge", `${digits(100 * data.mass[at], 1)}% from the last token before the reply`);
    if (data.knockout) add("Knocked out", knockedOut(head));
    if (data.after) {
      const tuned = data.tuned.includes(head) ? "tuned" : "not tuned itself";
      add("Before and after tuning", `${effect(data.before[at], "logits")} before, ${effect(data.after[at], "logits")} after (${tuned})`);
    }
    return found;
  };

  // The data hold a byte for each token, as a share of the largest weight of its dialogue.
  const looksAt = (head, number) => {
    const largest = data.attention.largest[head][number], [start, end] = data.attention.spans[number];
    const levels = Uint8Array.from(atob(data.attention.weights[head][number]), (letter) => letter.charCodeAt(0));
    let inside = 0;
    const words = data.attention.tokens[number].map((token, at) => {
      const share = levels[at] / 255, weight = share * largest, inSpan = at >= start && at < end;
      if (inSpan) inside += weight;
      const written = make("span", token, { title: `${digits(100 * weight, 1)}%`, "data-weight": weight.toFixed(4) });
      written.style.backgroundColor = `rgba(190, 85, 0, ${(0.7 * share).toFixed(3)})`;
      if (inSpan) written.style.textDecoration = "underline 2px";
      return written;
    });
    return { words, about: `Attention of the last token; ${digits(100 * inside, 1)}% of it on the underlined words. Hover over a word for its share.` };
  };
  return { place, ranked, make, effect, facts, looksAt };
};
