import pytest

from kmcl_mm.engine.checkpoint_labels import check_same_labels

TRAINED = dict(meta=dict(dataset_meta=dict(classes=['disc', 'box', 'bar'])))


@pytest.mark.parametrize(
    'content, classes',
    [(TRAINED, ('disc', 'box', 'bar')), (TRAINED, None), (dict(meta={}), ('disc',)), (dict(), ('disc',))],
)
def test_what_agrees_or_is_not_named_passes(content, classes):
    check_same_labels(content, 'some.pth', classes)


@pytest.mark.parametrize(
    'classes, difference',
    [(('bar', 'box', 'disc'), 'in another order'), (('disc', 'box', 'ring'), 'others'), (('disc', 'box'), 'others')],
)
def test_both_lists_are_named(classes, difference):
    message = rf"some.pth was trained.*\['disc', 'box', 'bar'\].*are {difference}: .*{classes[-1]!r}\]"
    with pytest.raises(ValueError, match=message):
        check_same_labels(TRAINED, 'some.pth', classes)
