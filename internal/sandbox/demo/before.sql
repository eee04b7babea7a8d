-- Inserts what the messages need and the registry does not bring in: the kinds of cells, and the
-- client applications, without rights of booking. Guids have the form that demoFiles describes.

INSERT INTO busy_type (code, name, reception) VALUES
    (1, 'Прием', true), (2, 'Перерыв', false), (3, 'Вызов на дом', false), (4, 'Обучение', false);

INSERT INTO client_application (guid, name, secret_hash)
SELECT format('de300000-0003-4000-8000-%s', lpad(number::text, 12, '0'))::uuid, name, sha256('demo-secret')
FROM (VALUES
    (1, 'Портал'),
    (2, 'Колл-центр'),
    (3, 'Инфомат'),
    (4, 'МИС'),
    (5, 'Единая регистратура') -- application of the demo token
) c (number, name);

-- These act for themselves: the clinics' systems in their institutions, the region's in all.
INSERT INTO client_application (guid, name, secret_hash, scopes, lpu_guids, every_lpu)
SELECT format('de300000-0003-4000-8000-%s', lpad(c.number::text, 12, '0'))::uuid, c.name, sha256('demo-secret'),
    c.scopes::text[], c.lpu_guids::uuid[], c.every_lpu
FROM (VALUES
    (11, 'МИС поликлиники А', '{schedule:write,referral:write,patient:write,visit:read,visit:write,events:read}',
        '{e66e8056-f0bd-4ec3-85f7-28ff5b22db4f}', false),
    (12, 'МИС поликлиники Б', '{schedule:write,referral:write,patient:write,visit:read,visit:write,events:read}',
        '{4cb4f1c8-386d-410d-ac5d-fa232bd2afb9}', false),
    (13, 'МИС с незавершенными загрузками', '{schedule:write,events:read}', '{4cb4f1c8-386d-410d-ac5d-fa232bd2afb9}', false),
    (20, 'Региональная система', '{schedule:write,referral:write,patient:write,visit:read,visit:write,events:read,audit:read,admin}',
        '{}', true)
) c (number, name, scopes, lpu_guids, every_lpu);
