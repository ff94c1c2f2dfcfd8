// Elements in a line. Text goes in as text only.

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {...(string | Node)} children
 */
export function h(tag, className = "", ...children) {
  const el = document.createElement(tag);
  if (className) el.className = className;
  el.append(...children.filter((child) => child !== ""));
  return el;
}
