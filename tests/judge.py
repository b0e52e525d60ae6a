"""The method written down once more, number by number in Python floats: a slow judge that shares no code with ours."""

import math


def asymmetric(logits, target, gamma_neg=4, gamma_pos=0, clip=0.05):
    total = 0.0
    for image_logits, image_target in zip(logits.tolist(), target.tolist()):
        for z, y in zip(image_logits, image_target):
            p = 1 / (1 + math.exp(-z))
            p_neg = min(1 - p + clip, 1)
            pt, gamma = (p, gamma_pos) if y else (p_neg, gamma_neg)
            total -= (1 - pt) ** gamma * math.log(max(pt, 1e-7))
    return total


def log_kernel(embedding, mean, variance):
    """log g[i][k]; isotropic means and variances are the same in every dimension."""
    isotropic = mean.dim() == 2
    images, dimensions = embedding.shape
    f, mu, v = embedding.tolist(), mean.tolist(), variance.tolist()
    result = []
    for i in range(images):
        row = []
        for k in range(mean.shape[-1]):
            terms = [
                (f[i][m] - (mu[i][k] if isotropic else mu[i][m][k])) ** 2 / (v[i][k] if isotropic else v[i][m][k])
                for m in range(dimensions)
            ]
            row.append(-0.5 * math.fsum(terms))
        result.append(row)
    return result


def reconstruction(embedding, logits, mean, variance, target):
    """The exact variant: images without labels do not count."""
    losses = []
    for i, log_g in enumerate(log_kernel(embedding, mean, variance)):
        present = [k for k, y in enumerate(target[i].tolist()) if y]
        if present:
            highest = max(log_g)
            component = [math.exp(g - highest) / (1 + math.exp(-z)) for g, z in zip(log_g, logits[i].tolist())]
            own = max(component[k] for k in present)
            if own == 0:
                raise OverflowError('underflow: give the judge milder numbers')
            losses.append(-math.log(math.fsum(component[k] for k in present) / math.fsum(component)))
    return math.fsum(losses) / len(losses) if losses else 0.0


def distance(mean, variance, i, j, k):
    """Bhattacharyya distance of the kernels of label k; one dimension where they are isotropic."""
    if mean.dim() == 2:
        mean, variance = mean.unsqueeze(1), variance.unsqueeze(1)
    terms = []
    for m in range(mean.shape[1]):
        vi, vj = variance[i, m, k].item(), variance[j, m, k].item()
        terms.append(0.5 * math.log((vi + vj) / (2 * math.sqrt(vi * vj))))
        terms.append(0.25 * (mean[i, m, k].item() - mean[j, m, k].item()) ** 2 / (vi + vj))
    return math.fsum(terms)


def contrastive(mean, variance, target, scale, temperature=0.17, jaccard='outside', offset=0.0):
    images, labels = target.shape
    y = [[bool(value) for value in row] for row in target.tolist()]
    total = 0.0
    for i in range(images):
        others = [j for j in range(images) if j != i]
        positives = [j for j in others if any(a and b for a, b in zip(y[i], y[j]))]
        if not positives:
            continue
        anchor = 0.0
        for k in range(labels):
            e = {n: math.exp(math.exp(-scale * distance(mean, variance, i, n, k)) / temperature) for n in others}
            for j in positives:
                if y[i][k] and y[j][k]:
                    index = sum(a and b for a, b in zip(y[i], y[j])) / sum(a or b for a, b in zip(y[i], y[j]))
                    share = e[j] / math.fsum(e.values())
                    inside, outside = dict(inside=(index, 1), outside=(1, index), none=(1, 1))[jaccard]
                    anchor -= outside * math.log(inside * share + offset)
        total += anchor / len(positives)
    return total / images
